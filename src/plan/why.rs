//! Why a cell is not a stored one: the fields of identity that differ, and the manifest's lines.

use serde_json::Value;

use crate::manifest::Study;
use crate::manifest::source::At;

/// A field of identity that differs between a stored and a planned cell.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Difference {
    /// `agents[collector].options.temperature`, `throttle`, …
    pub field: String,
    /// `None`: the field is absent, at its default.
    pub stored: Option<Value>,
    pub planned: Option<Value>,
    /// Line of the manifest that says it, from 1, where one does.
    pub line: Option<usize>,
}

/// Field by field, how a planned document differs from a stored one.
#[must_use]
pub fn differences(stored: &Value, planned: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare(String::new(), Some(stored), Some(planned), &mut found);
    found
}

/// Names the line of the manifest for each difference. `experiment` indexes the study's experiments,
/// `scenario` is the cell's.
pub fn locate(differences: &mut [Difference], study: &Study, experiment: usize, scenario: &str) {
    let name = &study.experiments[experiment].name;
    for difference in differences {
        difference.line = line(study, name, scenario, &difference.field);
    }
}

fn compare(
    field: String,
    stored: Option<&Value>,
    planned: Option<&Value>,
    found: &mut Vec<Difference>,
) {
    match (stored, planned) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                let inner = if field.is_empty() { key.clone() } else { format!("{field}.{key}") };
                compare(inner, a.get(key), b.get(key), found);
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) if named(a) && named(b) => {
            let mut names: Vec<&str> = a.iter().chain(b).filter_map(name_of).collect();
            names.sort_unstable();
            names.dedup();
            for name in names {
                let find = |items: &'_ [Value]| -> Option<usize> {
                    items.iter().position(|item| name_of(item) == Some(name))
                };
                let (old, new) = (find(a).map(|i| &a[i]), find(b).map(|i| &b[i]));
                compare(format!("{field}[{name}]"), old, new, found);
            }
        }
        (stored, planned) if stored != planned => found.push(Difference {
            field,
            stored: stored.cloned(),
            planned: planned.cloned(),
            line: None,
        }),
        _ => {}
    }
}

fn named(items: &[Value]) -> bool {
    items.iter().all(|item| name_of(item).is_some())
}

fn name_of(item: &Value) -> Option<&str> {
    item.get("name").and_then(Value::as_str)
}

/// Where the manifest says a field: the experiment before the defaults, the profile before both.
fn line(study: &Study, experiment: &str, scenario: &str, field: &str) -> Option<usize> {
    let source = &study.source;
    let root = At::ROOT;
    let experiments = root.key("experiment");
    let experiment = experiments.key(experiment);
    let profiles = root.key("profile");
    let profile = profiles.key(study.profile.as_deref().unwrap_or_default());
    let matrix = experiment.key("matrix");
    let fixed = experiment.key("fixed");

    let (agent, inner) = match field.strip_prefix("agents[").and_then(|rest| rest.split_once(']')) {
        None => (None, field),
        Some((agent, inner)) => (Some(agent), inner.trim_start_matches('.')),
    };
    let scenarios = root.key("scenario");
    let scenario = scenarios.key(scenario);
    let index = agent.and_then(|agent| {
        (0..)
            .map_while(|index| {
                source.text_at(&scenario.index(index).key("agent")).map(|name| (index, name))
            })
            .find(|(_, name)| *name == agent)
            .map(|(index, _)| index)
    });
    let entry = scenario.index(index.unwrap_or_default());
    let referenced = |key: &str| source.text_at(&entry.key(key)).unwrap_or_default();

    let first = |places: &[&At<'_>]| places.iter().find_map(|at| source.line_of(at));
    let (head, rest) = inner.split_once('.').unwrap_or((inner, ""));
    match (agent, head) {
        (None, "probes") => {
            let probes = experiment.key("probes");
            first(&[&probes.key(rest), &experiment.key("controls"), &probes])
        }
        (None, "agents") | (Some(_), "") => first(&[&scenario]),
        (None, _) => {
            let (defaults, overlay) = (root.key("defaults"), profile.key("defaults"));
            first(&[
                &overlay.key(head),
                &matrix.key(head),
                &fixed.key(head),
                &experiment.key(head),
                &defaults.key(head),
                &experiment,
            ])
        }
        (Some(agent), "options") => {
            let (sets, overlays) = (root.key("options"), profile.key("options"));
            let (set, overlay) =
                (sets.key(referenced("options")), overlays.key(referenced("options")));
            let addressed = format!("{agent}.{rest}");
            first(&[
                &matrix.key(rest),
                &matrix.key(&addressed),
                &matrix.key(agent).key(rest),
                &fixed.key(rest),
                &overlay.key(rest),
                &set.key(rest),
                &entry,
            ])
        }
        (Some(_), "prompt") => {
            let prompts = root.key("prompt");
            first(&[&prompts.key(referenced("prompt")), &entry])
        }
        (Some(_), "workflow") => {
            let workflows = root.key("workflow");
            let workflow = workflows.key(referenced("workflow"));
            let scan = workflow.key("scan");
            match rest {
                "analysis" | "report" => first(&[&workflow.key(rest), &entry]),
                _ => first(&[&scan.key(rest), &scan, &workflow, &entry]),
            }
        }
        (Some(_), "endpoint") => {
            first(&[&entry.key(head), &matrix.key(head), &fixed.key(head), &entry])
        }
        (Some(_), "max_tokens_as" | "protocol" | "simulated" | "stream_options") => {
            let (endpoints, overlays) = (root.key("endpoint"), profile.key("endpoint"));
            let (name, level) = (referenced("endpoint"), matrix.key("endpoint"));
            let fixed = fixed.key("endpoint");
            first(&[&overlays.key(name), &endpoints.key(name), &level, &fixed, &entry])
        }
        (Some(_), key) => {
            let (defaults, overlay) = (root.key("defaults"), profile.key("defaults"));
            first(&[
                &entry.key(key),
                &overlay.key(key),
                &matrix.key(key),
                &experiment.key(key),
                &defaults.key(key),
                &entry,
            ])
        }
    }
}
