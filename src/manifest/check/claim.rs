//! Checks of claims: numbers in their range, on cells that exist.

use std::collections::BTreeMap;

use formats::protocol::Stage;
use indexmap::IndexMap;

use super::Common;
use super::names::reference;
use super::selection::nearest_level;
use crate::manifest::command::Stat;
use crate::manifest::criterion::Cells;
use crate::manifest::factor;
use crate::manifest::nearest::suggest;
use crate::manifest::problem::Problems;
use crate::manifest::sign::Sign;
use crate::manifest::source::At;
use crate::manifest::study::{
    Claim, ClaimOver, ClaimSide, ClaimStatistic, Experiment, Level, Published, Quantity, Tolerance,
};
use crate::manifest::written::{self, Scalar};

/// `experiments` are those that are right; where some are not, cells are not looked for.
pub(super) fn claims(
    written: &written::Manifest,
    experiments: &[Experiment],
    common: &Common,
    problems: &mut Problems<'_>,
) -> Vec<Claim> {
    let section = At::ROOT.key("claim");
    let whole = experiments.len() == written.experiment.len();
    let setting = Setting { written, experiments, common, whole };
    let claims = written
        .claim
        .iter()
        .filter_map(|(name, body)| claim(&section.key(name), name, body, &setting, problems));
    claims.collect()
}

/// What claims refer to.
struct Setting<'c> {
    written: &'c written::Manifest,
    experiments: &'c [Experiment],
    common: &'c Common,
    /// Every experiment is right.
    whole: bool,
}

fn claim(
    at: &At<'_>,
    name: &str,
    body: &written::Claim,
    setting: &Setting<'_>,
    problems: &mut Problems<'_>,
) -> Option<Claim> {
    let before = problems.len();
    let published = published(at, body, problems);
    let statistic = statistic(at, body, setting, problems);
    let quantity = match (&body.metric, &body.level) {
        (Some(metric), None) => Some(Quantity::Metric(metric.clone())),
        (None, Some(level)) => Some(Quantity::Level(level.clone())),
        _ => {
            let help = "write `metric = \"…\"`; `runner schema metrics` lists them";
            problems.key(at, "a claim is about a `metric` or about a `level`", Some(help.into()));
            None
        }
    };
    if let Some(profile) = &body.profile {
        let known = setting.written.profile.keys();
        reference(problems, &at.key("profile"), "profile", profile, known, false);
    }
    if body.source.trim().is_empty() {
        problems.value(&at.key("source"), "`source` says where the number stands", None);
    }
    let over = body.over.unwrap_or_default();
    let of = match &body.of {
        None => Some(ClaimStatistic::Of(Stat::Mean)),
        Some(text) => plain_statistic(text).filter(|own| *own != ClaimStatistic::P).or_else(|| {
            not_a_statistic(&at.key("of"), text, problems);
            None
        }),
    };
    let stage = body.stage.as_ref().and_then(|text| {
        let stage = Stage::ALL.into_iter().find(|stage| stage.name() == text);
        if stage.is_none() {
            let help = suggest(text, Stage::ALL.map(Stage::name));
            problems.value(&at.key("stage"), format!("`{text}` is no stage"), help);
        }
        stage
    });
    misplaced(at, body, over, problems);
    let known = setting.written.experiment.keys();
    if let Some(name) = &body.experiment {
        reference(problems, &at.key("experiment"), "experiment", name, known.clone(), false);
    }
    let side = side(at, "where", body.experiment.clone(), &body.cells, setting, problems);
    let against = body.against.as_ref().map(|levels| {
        let mut levels = levels.clone();
        let named = levels.shift_remove("experiment").map(|name| name.to_string());
        if let Some(name) = &named {
            reference(problems, &at.key("against"), "experiment", name, known, false);
        }
        let experiment = named.or_else(|| body.experiment.clone());
        let other = self::side(at, "against", experiment, &levels, setting, problems);
        (other, body.against_as.unwrap_or_default())
    });
    let except = self::side(at, "except", body.experiment.clone(), &body.except, setting, problems);
    let paired_by = match over {
        ClaimOver::Pairs => setting.paired_by(body),
        _ => Vec::new(),
    };
    (problems.len() == before).then_some(())?;
    Some(Claim {
        name: name.to_owned(),
        published: published?,
        unit: body.unit.clone(),
        quantity: quantity?,
        statistic: statistic?,
        over,
        of: of?,
        side,
        except: except.cells,
        paired_by,
        against,
        repeat: body.repeat,
        agent: body.agent.clone(),
        stage,
        uncounted: body.uncounted,
        complete: body.complete,
        profile: body.profile.clone(),
        source: body.source.clone(),
    })
}

/// Keys that nothing else in the claim gives a meaning.
fn misplaced(at: &At<'_>, body: &written::Claim, over: ClaimOver, problems: &mut Problems<'_>) {
    for (key, given, needed, is_so) in [
        (
            "of",
            body.of.is_some(),
            "over = \"cells\" or \"pairs\"",
            matches!(over, ClaimOver::Cells | ClaimOver::Pairs),
        ),
        ("stage", body.stage.is_some(), "over = \"calls\"", over == ClaimOver::Calls),
        ("uncounted", body.uncounted, "over = \"calls\"", over == ClaimOver::Calls),
        ("as", body.against_as.is_some(), "`against`", body.against.is_some()),
        (
            "with",
            body.with.is_some(),
            "stat = \"correlation\"",
            body.stat.as_deref() == Some("correlation"),
        ),
        ("among", body.among.is_some(), "stat = \"rank\"", body.stat.as_deref() == Some("rank")),
        ("by", body.by.is_some(), "stat = \"rank\"", body.stat.as_deref() == Some("rank")),
        (
            "is",
            body.is.is_some(),
            "stat = \"count\" or \"share\"",
            matches!(body.stat.as_deref(), Some("count" | "share")),
        ),
    ] {
        if given && !is_so {
            problems.key(&at.key(key), format!("`{key}` is for {needed}"), None);
        }
    }
    for (stat, key, given) in [
        ("rank", "against", body.against.is_some()),
        ("p", "as", body.against_as.is_some()),
        ("rank", "level", body.level.is_some()),
        ("p", "unit", body.unit.is_some()),
    ] {
        if given && body.stat.as_deref() == Some(stat) {
            problems.key(&at.key(key), format!("stat = \"{stat}\" takes no `{key}`"), None);
        }
    }
    if body.level.is_some() {
        if body.agent.is_some() {
            let help = "write the agent's level, such as `level = \"AGENT.num_ctx\"`";
            problems.key(&at.key("agent"), "a level is the run's", Some(help.into()));
        }
        if over == ClaimOver::Calls {
            problems.value(&at.key("over"), "a level is the run's, and no call's", None);
        }
    }
    if body.repeat == Some(0) {
        problems.value(&at.key("repeat"), "repeats are counted from 1", None);
    }
    if over == ClaimOver::Pairs {
        if body.against.is_none() {
            let help = "write `against = { … }`";
            problems.key(&at.key("over"), "a pair is of two sides", Some(help.into()));
        }
        if let Some(stat @ ("p" | "rank" | "correlation")) = body.stat.as_deref() {
            problems.value(&at.key("stat"), format!("a {stat} is not taken over pairs"), None);
        }
    }
}

fn side(
    at: &At<'_>,
    key: &str,
    experiment: Option<String>,
    levels: &IndexMap<String, Scalar>,
    setting: &Setting<'_>,
    problems: &mut Problems<'_>,
) -> ClaimSide {
    let about = setting.about(experiment.as_deref());
    let cells = if setting.whole && !about.is_empty() {
        cells(&at.key(key), levels, &about, setting.common, problems)
    } else {
        IndexMap::new()
    };
    ClaimSide { experiment, cells: Cells(cells) }
}

impl Setting<'_> {
    fn about(&self, experiment: Option<&str>) -> Vec<&Experiment> {
        let is_it = |own: &&Experiment| experiment.is_none_or(|name| name == own.name);
        self.experiments.iter().filter(is_it).collect()
    }

    /// The axes that neither side of a claim names; labels tell cells apart and make no difference.
    fn paired_by(&self, body: &written::Claim) -> Vec<String> {
        let sides = || body.cells.keys().chain(body.against.iter().flat_map(IndexMap::keys));
        let other = body.against.as_ref().and_then(|own| own.get("experiment"));
        let other = other.map(ToString::to_string).or_else(|| body.experiment.clone());
        let mut axes: Vec<String> = Vec::new();
        let about = self.about(body.experiment.as_deref()).into_iter();
        for own in about.chain(self.about(other.as_deref())) {
            for axis in own.axes.keys() {
                let named = sides().any(|key| key == axis) || own.labels.contains(axis);
                if !named && !axes.contains(axis) {
                    axes.push(axis.clone());
                }
            }
        }
        axes
    }
}

fn plain_statistic(name: &str) -> Option<ClaimStatistic> {
    match name {
        "cv" => Some(ClaimStatistic::Cv),
        "range" => Some(ClaimStatistic::Range),
        "range_percent" => Some(ClaimStatistic::RangePercent),
        "distinct" => Some(ClaimStatistic::Distinct),
        "p" => Some(ClaimStatistic::P),
        "first" | "last" | "count" => None,
        name => Stat::parse(name).map(ClaimStatistic::Of),
    }
}

fn not_a_statistic(at: &At<'_>, name: &str, problems: &mut Problems<'_>) {
    let known = [
        "mean",
        "median",
        "sd",
        "cv",
        "min",
        "max",
        "sum",
        "p95",
        "p99",
        "range",
        "range_percent",
        "count",
        "share",
        "distinct",
        "rank",
        "correlation",
        "p",
    ];
    problems.value(at, format!("`{name}` is not a statistic"), suggest(name, known));
}

fn statistic(
    at: &At<'_>,
    body: &written::Claim,
    setting: &Setting<'_>,
    problems: &mut Problems<'_>,
) -> Option<ClaimStatistic> {
    let Some(name) = &body.stat else { return Some(ClaimStatistic::Of(Stat::Mean)) };
    let condition = body.is.as_ref().map(|text| {
        let found = Sign::parse(text);
        if found.is_none() {
            let help = "write a sign (<, <=, >, >=, =) and a number, such as \">= 96\"";
            problems.value(&at.key("is"), format!("`{text}` compares nothing"), Some(help.into()));
        }
        found
    });
    match name.as_str() {
        "count" => match condition {
            None => Some(ClaimStatistic::Count(None)),
            Some(condition) => Some(ClaimStatistic::Count(Some(condition?))),
        },
        "share" => {
            let Some(condition) = condition else {
                let help = "write for example `is = \">= 96\"`";
                problems.key(&at.key("stat"), "a share is of what is so", Some(help.into()));
                return None;
            };
            condition.map(|(sign, number)| ClaimStatistic::Share(sign, number))
        }
        "rank" => {
            let about = setting.about(body.experiment.as_deref());
            let are_known = setting.whole && !about.is_empty();
            let among =
                body.among.as_ref().filter(|_| are_known).map(|levels| {
                    cells(&at.key("among"), levels, &about, setting.common, problems)
                });
            if let Some(axis) = body.by.as_ref().filter(|_| are_known) {
                let axes = about.iter().flat_map(|own| own.axes.keys());
                reference(problems, &at.key("by"), "axis", axis, axes, false);
            }
            Some(ClaimStatistic::Rank {
                among: Cells(among.unwrap_or_default()),
                by: body.by.clone(),
            })
        }
        "correlation" => {
            if body.with.is_none() {
                let help = "write `with = \"…\"`";
                problems.key(
                    &at.key("stat"),
                    "a correlation is with another metric",
                    Some(help.into()),
                );
            }
            Some(ClaimStatistic::Correlation(body.with.clone()?))
        }
        "p" if body.against.is_none() => {
            let help = "write `against = { … }`";
            problems.key(&at.key("stat"), "a test is of two sides", Some(help.into()));
            None
        }
        name => plain_statistic(name).or_else(|| {
            not_a_statistic(&at.key("stat"), name, problems);
            None
        }),
    }
}

/// A value with its tolerance, or a bound.
fn published(at: &At<'_>, body: &written::Claim, problems: &mut Problems<'_>) -> Option<Published> {
    let given = [("value", body.value), ("above", body.above), ("below", body.below)];
    let mut given = given.into_iter().filter_map(|(key, value)| Some((key, value?)));
    let (Some((key, value)), None) = (given.next(), given.next()) else {
        let help = "write `value = …` with a tolerance, `above = …` or `below = …`";
        problems.key(at, "a claim has one of `value`, `above` and `below`", Some(help.into()));
        return None;
    };
    if !value.is_finite() {
        problems.value(&at.key(key), format!("`{key}` is a finite number"), None);
    }
    if key != "value" {
        for key in ["tolerance", "tolerance_abs"] {
            let given = if key == "tolerance" { body.tolerance } else { body.tolerance_abs };
            if given.is_some() {
                problems.key(&at.key(key), "a bound has no tolerance", None);
            }
        }
        let bound = if key == "above" { Published::AtLeast } else { Published::AtMost };
        return Some(bound(value));
    }
    tolerance(at, body, value, problems).map(|tolerance| Published::Value(value, tolerance))
}

fn tolerance(
    at: &At<'_>,
    body: &written::Claim,
    of: f64,
    problems: &mut Problems<'_>,
) -> Option<Tolerance> {
    let (key, value, tolerance) = match (body.tolerance, body.tolerance_abs) {
        (Some(share), None) => ("tolerance", share, Tolerance::Relative(share)),
        (None, Some(size)) => ("tolerance_abs", size, Tolerance::Absolute(size)),
        _ => {
            let message = "a claim needs exactly one of `tolerance` and `tolerance_abs`";
            let help = "`tolerance = 0.01` is 1 % of the value, `tolerance_abs` is in its unit";
            problems.key(at, message, Some(help.into()));
            return None;
        }
    };
    if !(value >= 0.0 && value.is_finite()) {
        let message = format!("a tolerance is a number from 0, not {value}");
        problems.value(&at.key(key), message, None);
    }
    if key == "tolerance" && of == 0.0 {
        let message = "a share of 0 is 0";
        problems.value(&at.key(key), message, Some("write `tolerance_abs`".into()));
    }
    Some(tolerance)
}

/// Levels that an experiment has, on an axis or fixed for all of its cells.
fn cells(
    at: &At<'_>,
    written: &IndexMap<String, Scalar>,
    about: &[&Experiment],
    common: &Common,
    problems: &mut Problems<'_>,
) -> IndexMap<String, Level> {
    let mut known: BTreeMap<&str, Vec<&Level>> = BTreeMap::new();
    for experiment in about {
        let added = experiment.include.iter().chain(experiment.overrides.iter().map(|o| &o.set));
        let axes =
            experiment.axes.iter().flat_map(|(name, all)| all.iter().map(move |l| (name, l)));
        for (name, level) in axes.chain(&experiment.fixed).chain(added.flatten()) {
            known.entry(name).or_default().push(level);
        }
    }
    let free = about.iter().all(|own| own.kind.is_command());
    let imported = about.iter().all(|own| own.kind.is_import());
    let mut cells = IndexMap::new();
    for (name, value) in written {
        let at = at.key(name);
        let Some(levels) = known.get(name.as_str()) else {
            let help = suggest(name, known.keys().copied());
            problems.key(&at, format!("no experiment here has an axis `{name}`"), help);
            continue;
        };
        let parsed = match factor::lookup(name).filter(|_| !free) {
            Some(factor) => factor.level(value),
            None => factor::free_level(value),
        };
        let level = match parsed {
            Ok(Level::Text(model)) if name == "model" && !free && !imported => {
                Level::Text(common.models.get(&model).unwrap_or(&model).clone())
            }
            Ok(level) => level,
            Err(message) => {
                problems.value(&at, format!("`{name}`: {message}"), None);
                continue;
            }
        };
        if !levels.contains(&&level) {
            let shown = factor::show(name, &level);
            let help = nearest_level(name, &level, levels.iter().copied());
            problems.value(&at, format!("`{name}` has no level `{shown}`"), help);
        }
        cells.insert(name.clone(), level);
    }
    cells
}
