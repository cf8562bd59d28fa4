//! The matrix algebra, the table of edits in the design, and the order, as properties.

mod blocks;
mod replicas;

use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::cells::filter::Vocabulary;
use crate::manifest;
use crate::manifest::factor;
use crate::manifest::study::Endpoint;

fn plan_of(text: &str) -> Plan {
    let study = manifest::parse(Path::new("study.toml"), text, None).unwrap_or_else(|error| {
        panic!("{:?}\n{text}", miette::Report::new(error));
    });
    Plan::new(study, &Filters::default()).unwrap()
}

/// A study in parts, so that edits can be made to one of them.
#[derive(Debug, Clone)]
struct Written {
    head: String,
    defaults: String,
    endpoint: String,
    /// The collector's endpoint.
    collector: String,
    options: String,
    prompt: String,
    experiment: String,
    throttles: Vec<u32>,
    further: String,
}

impl Written {
    fn text(&self) -> String {
        let throttles: Vec<String> =
            self.throttles.iter().map(|t| format!("\"{t} tok/s\"")).collect();
        format!(
            r#"
schema = 1
{head}
[defaults]
{defaults}
[endpoint]
{endpoint}
[options]
tuned = {{ {options} }}
[prompt]
p = {{ text = "{prompt}" }}
[scenario]
pair = [
  {{ agent = "collector", endpoint = "{collector}", prompt = "p", options = "tuned" }},
  {{ agent = "insight", endpoint = "b", prompt = "p" }},
]
[experiment.{experiment}]
scenario = "pair"
matrix = {{ model = ["m", "n"], throttle = [{throttles}] }}
{further}
"#,
            head = self.head,
            defaults = self.defaults,
            endpoint = self.endpoint,
            collector = self.collector,
            options = self.options,
            prompt = self.prompt,
            experiment = self.experiment,
            throttles = throttles.join(", "),
            further = self.further,
        )
    }

    /// Gives an endpoint another name, with these further keys.
    fn rename_endpoint(&mut self, from: &str, to: &str, keys: &str) {
        let (old, new) = (format!("{from} = {{ ollama"), format!("{to} = {{ {keys} ollama"));
        self.endpoint = self.endpoint.replace(&old, &new);
        if from == "a" {
            self.collector = to.to_owned();
        }
    }

    fn runs(&self) -> BTreeSet<(CellId, u32)> {
        let plan = plan_of(&self.text());
        plan.order().into_iter().map(|run| (plan.id(run.cell), run.repeat)).collect()
    }
}

fn study(throttles: Vec<u32>, repeats: u32) -> Written {
    Written {
        head: "name = \"s\"\ntitle = \"t\"".into(),
        defaults: format!("repeats = {repeats}\nwarmup = 1\nmax_tokens = 50"),
        endpoint: "a = { ollama = \"http://localhost:11434\" }\nb = { ollama = \"http://localhost:11435\" }"
            .into(),
        collector: "a".into(),
        options: "num_ctx = 512, temperature = 0.8".into(),
        prompt: "hello".into(),
        experiment: "one".into(),
        throttles,
        further: "baseline = { model = \"m\" }\n[experiment.one.hypothesis.h]\nclaim = \"c\"\nthreshold = { metric = \"e2e_ms\", above = 1.0 }".into(),
    }
}

/// One edit, and whether it keeps every run.
type Edit = (&'static str, fn(&mut Written));

/// Edits that change no identity, whatever the study.
const FREE: [Edit; 17] = [
    ("comment", |s| s.head = format!("# a comment\n{}", s.head)),
    ("title", |s| s.head = s.head.replace("\"t\"", "\"another title\"")),
    ("timeout", |s| s.defaults.push_str("\ntimeout = \"9s\"")),
    ("retry", |s| s.defaults.push_str("\nretry = { max = 3, on = [\"timeout\"] }")),
    ("order", |s| s.defaults.push_str("\norder = \"shuffled\"")),
    ("seed of the order", |s| s.defaults.push_str("\nseed = 99")),
    ("claim", |s| s.further = s.further.replace("\"c\"", "\"another claim\"")),
    ("criterion", |s| s.further = s.further.replace("above = 1.0", "below = 2.0")),
    ("renamed experiment", |s| {
        s.further = s.further.replace("experiment.one", "experiment.two");
        s.experiment = "two".into();
    }),
    ("one address for both", |s| s.endpoint = s.endpoint.replace("11435", "11434")),
    ("address", |s| s.endpoint = s.endpoint.replace("localhost:1143", "10.0.0.1:2143")),
    ("the way to a server and who it answers as", |s| {
        let further = "11434\", api_key_env = \"KEY\", proxy = \"http://p:1\", answers_as = [\"x\"], \
                       headers = { x-team = \"lab\", x-login = { env = \"LOGIN\" } } }";
        s.endpoint = s.endpoint.replace("11434\" }", further);
    }),
    ("order of options", |s| s.options = "temperature = 0.80, num_ctx = 512.0".into()),
    ("order of levels", |s| s.throttles.reverse()),
    ("axis at its default level", |s| {
        s.further = format!("fixed = {{ read_buffer = \"default\" }}\n{}", s.further);
    }),
    ("no dose of lag", |s| s.further = format!("fixed = {{ lag_dose = \"0s\" }}\n{}", s.further)),
    ("cell names", |s| s.defaults.push_str("\ncell_name = \"{model|slug}/{throttle|slug}\"")),
];

/// Edits that touch every cell of this study.
const TOUCHING: [Edit; 11] = [
    ("prompt text", |s| s.prompt.push('!')),
    ("option", |s| s.options = s.options.replace("0.8", "0.7")),
    ("a stop", |s| s.options.push_str(", stop = [\"a\", \"b\"]")),
    ("nested options", |s| s.options.push_str(", extra = { shift = false }")),
    ("warm-up", |s| s.defaults = s.defaults.replace("warmup = 1", "warmup = 2")),
    ("max_tokens", |s| s.defaults = s.defaults.replace("= 50", "= 51")),
    ("probe", |s| s.further = format!("probes = {{ chunks = true }}\n{}", s.further)),
    ("idle control", |s| {
        let idle = "probes = { loop_lag = \"1ms\" }\ncontrols = [\"idle\"]";
        s.further = format!("{idle}\n{}", s.further);
    }),
    ("read buffer", |s| {
        s.further = format!("fixed = {{ read_buffer = \"64 KiB\" }}\n{}", s.further);
    }),
    ("a dose of lag", |s| {
        s.further = format!("fixed = {{ lag_dose = \"5ms\" }}\n{}", s.further);
    }),
    ("renamed endpoint", |s| s.rename_endpoint("a", "c", "")),
];

/// The identity of the only cell of an agent with such an endpoint and such options.
fn identity_of(endpoint: &str, options: &str) -> serde_json::Value {
    let text = format!(
        "schema = 1\nname = \"s\"\n[endpoint]\ne = {{ {endpoint} }}\n[options]\no = {{ {options} }}\n[prompt]\np \
         = {{ text = \"hello\" }}\n[scenario]\none = [{{ agent = \"a\", endpoint = \"e\", prompt = \"p\", \
         options = \"o\" }}]\n[experiment.e]\nmax_tokens = 9\nmatrix = {{ model = [\"m\"], scenario = \
         [\"one\"] }}\n"
    );
    plan_of(&text).spec(0).identity
}

#[test]
fn spellings_of_stops_and_of_nothing_extra_are_one_cell() {
    let url = "openai = \"http://localhost:8080/v1\"";
    let plain = identity_of(url, "stop = \"END\"");
    assert_eq!(plain, identity_of(url, "stop = [\"END\"], extra = {}"));
    assert_eq!(plain["agents"][0]["options"], serde_json::json!({ "stop": "END" }));
    let nested = "extra = { b = { y = 1.0, x = [1, 2.5] }, a = true }";
    let found = identity_of(url, nested);
    let turned = "extra = { a = true, b = { x = [1.0, 2.5], y = 1 } }";
    assert_eq!(found, identity_of(url, turned));
    let expected = serde_json::json!({ "extra": { "a": true, "b": { "x": [1, 2.5], "y": 1 } } });
    assert_eq!(found["agents"][0]["options"], expected);
}

#[test]
fn what_a_server_wants_otherwise_is_part_of_what_is_asked() {
    let url = "openai = \"http://localhost:8080/v1\"";
    let plain = identity_of(url, "seed = 1");
    let said = identity_of(
        &format!("{url}, max_tokens_as = \"max_tokens\", stream_options = true"),
        "seed = 1",
    );
    assert_eq!(plain, said, "what holds anyway changes nothing");
    let other = identity_of(
        &format!("{url}, max_tokens_as = \"max_completion_tokens\", stream_options = false"),
        "seed = 1",
    );
    let fields: Vec<String> =
        why::differences(&plain, &other).into_iter().map(|difference| difference.field).collect();
    assert_eq!(fields, ["agents[a].max_tokens_as", "agents[a].stream_options"]);
}

fn throttles() -> impl Strategy<Value = Vec<u32>> {
    proptest::collection::btree_set(1_u32..200, 1..6).prop_map(|set| set.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn free_edits_keep_every_run(throttles in throttles(), repeats in 1_u32..6) {
        let before = study(throttles, repeats);
        for (name, edit) in FREE {
            let mut after = before.clone();
            edit(&mut after);
            prop_assert_eq!(before.runs(), after.runs(), "{}", name);
        }
    }

    #[test]
    fn touching_edits_keep_no_run(throttles in throttles(), repeats in 1_u32..6) {
        let before = study(throttles, repeats);
        for (name, edit) in TOUCHING {
            let mut after = before.clone();
            edit(&mut after);
            prop_assert!(before.runs().is_disjoint(&after.runs()), "{}", name);
            prop_assert_eq!(before.runs().len(), after.runs().len(), "{}", name);
        }
    }

    #[test]
    fn an_old_name_keeps_the_runs_of_a_renamed_endpoint(throttles in throttles(), solo in any::<bool>()) {
        let mut before = study(throttles, 2);
        if solo {
            before = before.with_solo();
        }
        let mut after = before.clone();
        after.rename_endpoint("a", "c", "was = \"a\",");
        let (before, after) = (plan_of(&before.text()), plan_of(&after.text()));
        let new: BTreeSet<CellId> = (0..).take(after.cells()).map(|cell| after.id(cell)).collect();
        let old: Vec<CellId> = (0..).take(before.cells()).map(|cell| before.id(cell)).collect();
        let unknown: Vec<CellId> = old.iter().copied().filter(|id| !new.contains(id)).collect();
        let formers = after.formers(|id| unknown.contains(id), false);
        let kept: BTreeSet<CellId> = old.iter().map(|id| formers.current(id, []).unwrap_or(*id)).collect();
        prop_assert_eq!(kept, new);
    }

    #[test]
    fn repeats_add_and_hide(throttles in throttles(), few in 1_u32..4, more in 0_u32..4) {
        let (few, many) = (study(throttles.clone(), few), study(throttles.clone(), few + more));
        prop_assert!(few.runs().is_subset(&many.runs()));
        let new = many.runs().len() - few.runs().len();
        prop_assert_eq!(new, throttles.len() * 2 * more as usize);
    }

    #[test]
    fn a_new_level_adds_its_cells_only(throttles in throttles(), level in 200_u32..300) {
        let before = study(throttles.clone(), 3);
        let mut after = before.clone();
        after.throttles.push(level);
        prop_assert!(before.runs().is_subset(&after.runs()));
        prop_assert_eq!(after.runs().len() - before.runs().len(), 2 * 3);
    }

    #[test]
    fn every_run_is_ordered_once(throttles in throttles(), repeats in 1_u32..5, seed in 0_u64..9,
                                 order in proptest::sample::select(vec!["interleaved", "shuffled", "sequential"])) {
        let mut written = study(throttles, repeats);
        written.defaults = format!("{}\norder = \"{order}\"\nseed = {seed}", written.defaults);
        let plan = plan_of(&written.text());
        let runs = plan.order();
        let distinct: BTreeSet<RunKey> = runs.iter().copied().collect();
        prop_assert_eq!(runs.len() as u64, plan.runs());
        prop_assert_eq!(distinct.len(), runs.len());
        prop_assert_eq!(runs, plan_of(&written.text()).order());
    }

    #[test]
    fn interleaving_finishes_a_block_before_the_next(throttles in throttles(), repeats in 1_u32..5) {
        let order = plan_of(&study(throttles, repeats).text()).order();
        prop_assert!(order.windows(2).all(|pair| pair[0].repeat <= pair[1].repeat));
    }

    #[test]
    fn spellings_of_one_level_are_one_cell(kib in 1_u32..512) {
        let with = |level: String| {
            let mut s = study(vec![60], 1);
            s.further = format!("fixed = {{ read_buffer = {level} }}\n{}", s.further);
            s.runs()
        };
        let first = with(format!("\"{kib} KiB\""));
        prop_assert_eq!(&first, &with(format!("{}", kib * 1024)));
        prop_assert_eq!(&first, &with(format!("\"{} B\"", kib * 1024)));
    }
}

const MATRIX: &str = r#"
schema = 1
name = "m"
[endpoint]
a = { simulated = {} }
[prompt]
p = { text = "hello" }
[scenario]
one = [{ agent = "a", endpoint = "a", prompt = "p", options = "o" }]
[options]
o = {}
[experiment.e]
scenario = "one"
repeats = 1
"#;

fn cells(further: &str) -> Vec<String> {
    let plan = plan_of(&format!("{MATRIX}{further}"));
    plan.experiment_cells(0)
        .into_iter()
        .map(|cell| {
            let levels = plan.levels(0, cell);
            let shown: Vec<String> = levels.iter().map(|(n, l)| factor::show(n, l)).collect();
            shown.join("/")
        })
        .collect()
}

#[test]
fn axes_multiply_with_the_last_fastest() {
    assert_eq!(
        cells("matrix = { num_ctx = [1, 2], top_k = [3, 4] }"),
        ["1/3", "1/4", "2/3", "2/4"]
    );
}

#[test]
fn zipped_axes_step_together() {
    assert_eq!(
        cells(
            "matrix = { num_ctx = [1, 2], top_k = [3, 4], seed = [7, 8] }\nzip = [[\"num_ctx\", \"seed\"]]"
        ),
        ["1/3/7", "1/4/7", "2/3/8", "2/4/8"]
    );
}

#[test]
fn exclude_override_and_include_act_in_this_order() {
    assert_eq!(
        cells(
            "matrix = { num_ctx = [1, 2], top_k = [3, 4] }\n\
             exclude = [{ num_ctx = 1, top_k = 3 }]\n\
             override = [{ when = { num_ctx = 2, top_k = 4 }, set = { top_k = 9 } }]\n\
             include = [{ num_ctx = 5, top_k = 6 }]"
        ),
        ["1/4", "2/3", "2/9", "5/6"]
    );
}

#[test]
fn cells_that_come_out_identical_are_merged() {
    let further = "matrix = { num_ctx = [1, 2] }\n\
                   override = [{ when = { num_ctx = 2 }, set = { num_ctx = 1 } }]\n\
                   [experiment.f]\nscenario = \"one\"\nrepeats = 4\nmatrix = { num_ctx = [1, 3] }";
    let plan = plan_of(&format!("{MATRIX}{further}"));
    assert_eq!(plan.cells(), 2);
    let shared = plan.experiment_cells(0)[0];
    assert_eq!(plan.experiments_of(shared), [0, 1]);
    assert_eq!(plan.repeats(shared), 4);
    assert_eq!(plan.runs(), 8);
}

#[test]
fn options_reach_the_agents_that_have_options_or_are_addressed() {
    let text = study(vec![60], 1).text();
    let spec = |fixed: &str| {
        let text = text.replace("baseline", &format!("fixed = {{ {fixed} }}\nbaseline"));
        plan_of(&text).spec(0)
    };
    let plain = spec("num_gpu = 40");
    assert_eq!(plain.agents()[0].options["num_gpu"], 40);
    assert!(plain.agents()[1].options.is_empty(), "the baseline agent keeps the server's defaults");
    let addressed = spec("\"insight.num_gpu\" = 40");
    assert!(!addressed.agents()[0].options.contains_key("num_gpu"));
    assert_eq!(addressed.agents()[1].options["num_gpu"], 40);
}

#[test]
fn copies_are_streams_with_names_of_their_own() {
    let text = MATRIX.replace("prompt = \"p\",", "prompt = \"p\", count = 2,");
    let plan = plan_of(&format!("{text}matrix = {{ concurrency = [1, 3] }}"));
    let streams = |cell| -> Vec<String> {
        plan.spec(cell).agents().iter().map(|agent| agent.name.clone()).collect()
    };
    assert_eq!(streams(0), ["a", "a-2"]);
    assert_eq!(streams(1), ["a", "a-2", "a-3", "a-4", "a-5", "a-6"]);
}

#[test]
fn filters_select_cells() {
    let text =
        format!("{MATRIX}matrix = {{ num_ctx = [1, 2], throttle = [\"60 tok/s\", \"off\"] }}");
    let count = |filters: &[&str]| {
        let study = manifest::parse(Path::new("s.toml"), &text, None).unwrap();
        let expressions: Vec<String> = filters.iter().map(ToString::to_string).collect();
        Filters::parse(&expressions, &Vocabulary::of(&study))
            .map(|f| Plan::new(study, &f).unwrap().cells())
    };
    assert_eq!(count(&["throttle=60"]), Ok(2));
    assert_eq!(count(&["throttle=60 tok/s,num_ctx=1"]), Ok(1));
    assert_eq!(count(&["throttle=off,num_ctx=1", "num_ctx=2"]), Ok(3));
    assert_eq!(count(&["throttle~60,experiment=e"]), Ok(2));
    assert_eq!(count(&["num_ctx=7"]), Ok(0));
    let of = |filter: &str| {
        let text = format!(
            "{MATRIX}matrix = {{ max_tokens = [\"default\", 64] }}\n[defaults]\nmax_tokens = 500\n"
        );
        let study = manifest::parse(Path::new("s.toml"), &text, None).unwrap();
        let filters = Filters::parse(&[filter.to_owned()], &Vocabulary::of(&study)).unwrap();
        Plan::new(study, &filters).unwrap().cells()
    };
    for filter in ["max_tokens=500", "max_tokens=default", "max_tokens=64"] {
        assert_eq!(of(filter), 1, "{filter}");
    }
    assert_eq!(
        count(&["throtle=60"]).unwrap_err().help.as_deref(),
        Some("did you mean `throttle`?")
    );
    assert!(count(&["experiment=nope"]).is_err());
    assert!(count(&["60"]).is_err());
}

#[test]
fn a_document_is_canonical_json_and_ids_are_stable() {
    let plan = plan_of(&study(vec![60], 1).text());
    let document = plan.document(0);
    insta::assert_snapshot!(String::from_utf8(document.clone()).unwrap());
    assert_eq!(identity::id(&document), plan.id(0));
    // A changed id here would orphan every stored run: change it only with the version tag.
    insta::assert_snapshot!(plan.id(0).hex());
}

/// The id of the study above as version 1 had it.
const VERSION_1: &str = "ff3b897d6f0e1c63d878004544941df3";

#[test]
fn a_cell_of_version_1_is_the_one_cell_that_it_can_be() {
    let version_1 = CellId::of_hex(VERSION_1).unwrap();
    let plan = plan_of(&study(vec![60], 1).text());
    let current = |plan: &Plan, met: &[&str]| {
        plan.formers(|id| *id == version_1, true).current(&version_1, met.iter().copied())
    };
    assert_eq!(current(&plan, &[]), Some(plan.id(0)));
    assert_eq!(current(&plan, &["a", "b"]), Some(plan.id(0)));
    assert_eq!(current(&plan, &["a", "c"]), None, "another server was called");
    assert_eq!(plan.formers(|_| true, false).ids().count(), 0, "nothing of version 1 is stored");
    let mut renamed = study(vec![60], 1);
    renamed.rename_endpoint("a", "c", "");
    let renamed = plan_of(&renamed.text());
    assert_eq!(current(&renamed, &[]), Some(renamed.id(0)));
    assert_eq!(current(&renamed, &["a", "b"]), None, "nobody says that `c` was `a`");
    let mut renamed = self::study(vec![60], 1);
    renamed.rename_endpoint("a", "c", "was = \"a\",");
    let renamed = plan_of(&renamed.text());
    assert_eq!(current(&renamed, &["a", "b"]), Some(renamed.id(0)));

    // The same agents the other way round: nobody can tell which servers were called.
    let turned = "turned = [\n{ agent = \"collector\", endpoint = \"b\", prompt = \"p\", options = \"tuned\" },\n\
                  { agent = \"insight\", endpoint = \"a\", prompt = \"p\" }]\n[experiment.one]\n";
    let text = study(vec![60], 1).text().replace("[experiment.one]\n", turned);
    let text = text.replace(
        "scenario = \"pair\"\nmatrix = {",
        "matrix = { scenario = [\"pair\", \"turned\"],",
    );
    assert_eq!(current(&plan_of(&text), &["a", "b"]), None);
    let study = manifest::parse(Path::new("s.toml"), &text, None).unwrap();
    let only = Filters::parse(&["scenario=pair".to_owned()], &Vocabulary::of(&study)).unwrap();
    let filtered = Plan::new(study, &only).unwrap();
    assert_eq!(filtered.cells(), 2);
    assert_eq!(current(&filtered, &[]), None, "a filter makes nothing clear");
}

#[test]
fn scenarios_that_differ_by_the_server_are_two_cells() {
    let text = SERVERS.replace(
        "[experiment.e]",
        "other = [{ agent = \"x\", endpoint = \"b\", prompt = \"p\", options = \"tuned\" }]\n[experiment.e]",
    );
    for servers in ["ollama = \"http://localhost:2\"", "ollama = \"http://localhost:1\""] {
        let text = text.replace("ollama = \"http://localhost:2\"", servers);
        let matrix = "model = \"m\"\nmatrix = { scenario = [\"one\", \"other\"] }";
        let plan = plan_of(&text.replace("{experiment}", matrix));
        assert_eq!(plan.cells(), 2, "{servers}");
        let called = |cell| plan.spec(cell).agents()[0].endpoint_name.clone();
        assert_eq!([called(0), called(1)], ["a", "b"]);
    }
}

/// Every key that a document can have, and numbers that are written in more than one way.
const EVERYTHING: &str = r#"
schema = 1
name = "all"
[defaults]
accept_context_full = true
vary_prompt = false
vary_seed = true
[endpoint]
a = { simulated = { protocol = "openai_chat", gaps = ["10ms", "1.5s"], jitter = "1ms", jitter_shape = "normal",
      seed = 9, tokens_per_chunk = 2, tokens = 30, load = "1s", slots = 2, faults = [
      { status = 503, first = 2 }, { error = "out \"of\" memory\u0001é", after = 3, every = 2 }, { stall = true },
      { reset = true }, { truncate = true }, { malformed = true }, { slow = "1ms" }] } }
b = { simulated = { rate = 1e-7 } }
c = { openai = "http://localhost:1/v1", api = "completions", max_tokens_as = "max_completion_tokens",
      stream_options = false }
[options]
n = { stop = ["b", "a"], extra = { z = [1.50, { "é" = 1e21, a = "\u0001" }], a = {} } }
o = { temperature = 1e21, top_p = 0.1, seed = 9007199254740991, stop = "ü\n\u007f", think = true, min_p = 1e-7 }
[prompt]
p = { text = "hello" }
[scenario]
all = [
  { agent = "z", endpoint = "a", prompt = "p", options = "o", count = 3 },
  { agent = "y", endpoint = "b", prompt = "p", model = "fixed" },
  { agent = "x", endpoint = "c", prompt = "p", options = "n", model = "fixed" },
]
[experiment.e]
scenario = "all"
max_tokens = 7
controls = ["idle"]
probes = { loop_lag = "1ms", chunks = true, gpu = true, host = { interval = "50ms" }, flamegraph = true }
matrix = { runtime = ["python"], event_loop = ["uvloop"], json = ["orjson"], batch = ["50ms"],
           read_buffer = ["64 KiB"], throttle = [33.3], "y.num_ctx" = [512] }
[experiment.t]
tokenize = { corpus = { generate = "10 MB", seed = 1 }, iterations = 5 }
matrix = { tokenizer = ["gemma3"], runtime = ["rust"] }
[experiment.c]
command = ["sleep", "{seconds}", "{word}"]
matrix = { seconds = [0.000001, 1e3], word = ["a\"b"] }
"#;

#[test]
fn documents_are_what_a_library_calls_canonical() {
    let plan = plan_of(EVERYTHING);
    assert_eq!(plan.cells(), 4);
    for cell in 0..4 {
        let document = plan.document(cell);
        let canonical = serde_json_canonicalizer::to_vec(&plan.identity(cell)).unwrap();
        assert_eq!(String::from_utf8(document).unwrap(), String::from_utf8(canonical).unwrap());
    }
}

#[test]
fn experiments_of_commands_and_tokenizers_are_told_apart_by_name() {
    let names = |body: &str| {
        let plan = plan_of(&format!("schema = 1\nname = \"s\"\n{body}"));
        (0..).take(plan.cells()).map(|cell| plan.name(cell)).collect::<Vec<_>>()
    };
    let commands = r#"
[experiment.a]
command = ["python3", "tools/read_lines.py", "--out", "{out}", "{n}"]
matrix = { n = [1, 2] }
[experiment.b]
command = ["/opt/bin/convert", "--level", "{n}"]
matrix = { n = [1, 2] }
[experiment.c]
command = ["{program}", "{out}/x"]
matrix = { program = ["p", "q"] }
"#;
    let expected = [
        "python3-read_lines_n-1",
        "python3-read_lines_n-2",
        "convert_n-1",
        "convert_n-2",
        "command_program-p",
        "command_program-q",
    ];
    assert_eq!(names(commands), expected);
    let tokenizers = r#"
[experiment.a]
tokenize = { corpus = { generate = "10 MB" } }
matrix = { tokenizer = ["t"] }
[experiment.b]
tokenize = { corpus = { generate = "30 kB", seed = 7 } }
matrix = { tokenizer = ["t"] }
"#;
    assert_eq!(names(tokenizers), ["rust_10MB_tokenizer-t", "rust_30kB-seed-7_tokenizer-t"]);
}

#[test]
fn names_are_readable_and_safe() {
    let mut written = study(vec![60], 1);
    written
        .defaults
        .push_str("\ncell_name = \"{runtime}/{model|slug}/ctx{num_ctx}_temp{temperature|slug}\"");
    assert_eq!(plan_of(&written.text()).name(0), "rust/m/ctx512_temp0p8");
    assert_eq!(name::slug("qwen2.5:7b"), "qwen2p5_7b");
    assert_eq!(name::slug("../../x y"), "x_y");
    assert_eq!(plan_of(&study(vec![60], 1).text()).name(0), "rust_model-m");
    assert_eq!(plan_of(&study(vec![60, 90], 1).text()).name(0), "rust_model-m_throttle-60_tok_s");
}

impl Written {
    fn with_solo(mut self) -> Self {
        self.further = format!("controls = [\"solo\"]\n{}", self.further);
        self
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_solo_control_keeps_every_run_and_adds_one_cell_per_agent(
        throttles in throttles(), repeats in 1_u32..6,
    ) {
        let before = study(throttles.clone(), repeats);
        let after = before.clone().with_solo();
        prop_assert!(before.runs().is_subset(&after.runs()));
        // two models and two agents
        let new = after.runs().len() - before.runs().len();
        prop_assert_eq!(new, throttles.len() * 2 * 2 * repeats as usize);
        let plan = plan_of(&after.text());
        for cell in plan.experiment_cells(0) {
            prop_assert!(!plan.is_control(cell));
            let solos = plan.solo_cells(cell);
            let names: Vec<&str> = solos.iter().map(|(name, _)| name.as_str()).collect();
            prop_assert_eq!(names, ["collector", "insight"]);
            for (name, solo) in solos {
                prop_assert!(plan.is_control(solo));
                let (whole, alone) = (plan.spec(cell), plan.spec(solo));
                prop_assert_eq!(alone.agents().len(), 1);
                let agent = whole.agents().iter().find(|agent| agent.name == name).unwrap();
                prop_assert_eq!(format!("{:?}", &alone.agents()[0]), format!("{agent:?}"));
                let throttle = |spec: &CellSpec| spec.scenario().map(|scenario| scenario.throttle);
                prop_assert_eq!(throttle(&whole), throttle(&alone));
            }
        }
    }

    #[test]
    fn free_edits_keep_the_solo_runs_too(throttles in throttles(), repeats in 1_u32..4) {
        let before = study(throttles, repeats).with_solo();
        for (name, edit) in FREE {
            let mut after = before.clone();
            edit(&mut after);
            prop_assert_eq!(before.runs(), after.runs(), "{}", name);
        }
    }

    #[test]
    fn solo_runs_are_in_the_same_blocks(throttles in throttles(), repeats in 1_u32..5) {
        let plan = plan_of(&study(throttles, repeats).with_solo().text());
        let order = plan.order();
        prop_assert_eq!(order.len() as u64, plan.runs());
        prop_assert!(order.windows(2).all(|pair| pair[0].repeat <= pair[1].repeat));
        for repeat in 1..=repeats {
            let block: Vec<bool> = order.iter().filter(|run| run.repeat == repeat)
                .map(|run| plan.is_control(run.cell)).collect();
            prop_assert_eq!(block.iter().filter(|control| **control).count(), block.len() * 2 / 3);
        }
    }
}

/// The study above with a second experiment.
fn with_another(experiment: &str) -> Plan {
    let scenarios =
        "[scenario]\nalone = [{ agent = \"insight\", endpoint = \"b\", prompt = \"p\" }]";
    let text = study(vec![60], 2).with_solo().text().replace("[scenario]", scenarios);
    plan_of(&format!("{text}\n{experiment}"))
}

#[test]
fn experiments_share_their_solo_controls() {
    let plan = with_another(
        "[experiment.two]\nscenario = \"pair\"\ncontrols = [\"solo\"]\nrepeats = 3\n\
         matrix = { model = [\"m\"], throttle = [60, 70] }",
    );
    let (one, two) = (plan.experiment_controls(0), plan.experiment_controls(1));
    assert_eq!((one.len(), two.len()), (4, 4));
    let shared: Vec<&u32> = one.iter().filter(|cell| two.contains(cell)).collect();
    assert_eq!(shared.len(), 2, "model m at 60 tok/s");
    assert_eq!((plan.repeats(*shared[0]), plan.repeats(one[2])), (3, 2));
    assert_eq!(plan.cells(), 3 + 6);
    assert!(plan.experiments_of(*shared[0]).is_empty(), "a control is in no matrix");
}

#[test]
fn a_control_that_is_a_cell_already_is_that_cell() {
    let plan = with_another(
        "[experiment.two]\nscenario = \"alone\"\ncontrols = [\"solo\"]\n\
         matrix = { model = [\"m\"], throttle = [60] }",
    );
    let own = plan.experiment_cells(1);
    assert!(!plan.is_control(own[0]));
    assert!(plan.experiment_controls(0).contains(&own[0]));
    assert!(plan.experiment_controls(1).is_empty(), "a single agent has nobody to contend with");
    assert_eq!(plan.experiments_of(own[0]), [1]);
    assert_eq!(plan.cells(), 3 + 3);
}

#[test]
fn in_sequence_controls_follow_the_cell_that_they_are_for() {
    let mut written = study(vec![60, 70], 1).with_solo();
    written.defaults.push_str("\norder = \"sequential\"");
    let plan = plan_of(&written.text());
    let controls: Vec<bool> = plan.order().iter().map(|run| plan.is_control(run.cell)).collect();
    assert_eq!(controls, [false, true, true].repeat(4));
}

#[test]
fn copies_share_one_solo_control() {
    let text = MATRIX.replace("prompt = \"p\",", "prompt = \"p\", count = 2,");
    let plan = plan_of(&format!(
        "{text}controls = [\"solo\"]\nmatrix = {{ concurrency = [1, 2], num_ctx = [1] }}"
    ));
    assert_eq!(plan.cells(), 3);
    let solos = plan.solo_cells(1);
    let names: Vec<&str> = solos.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["a", "a-2", "a-3", "a-4"]);
    assert!(solos.iter().all(|(_, cell)| *cell == 2));
    assert_eq!(plan.name(2), "rust_concurrency-1_solo-a");
    let factors = plan.factors(2);
    let shown = |name: &str| factors.iter().find(|own| own.name == name).unwrap().text.as_str();
    assert_eq!((shown("scenario"), shown("concurrency")), ("a alone", "1"));
    assert_eq!(shown("num_ctx"), "1");
}

/// One agent on a paced endpoint of 100 tok/s; `{rest}` is the rest of the experiment.
fn paced(rest: &str) -> Plan {
    plan_of(&format!(
        r#"
schema = 1
name = "paced"
[endpoint]
a = {{ simulated = {{ rate = "100 tok/s" }} }}
[prompt]
p = {{ text = "hello" }}
[scenario]
one = [{{ agent = "x", endpoint = "a", prompt = "p" }}]
[experiment.e]
scenario = "one"
{rest}
"#
    ))
}

#[test]
fn rate_sets_the_schedule_and_equal_schedules_are_equal_cells() {
    let own = paced("matrix = { model = [\"m\"] }");
    let varied = paced("matrix = { model = [\"m\"], rate = [\"default\", 50, \"100 tok/s\"] }");
    // 100 tok/s is what the endpoint has anyway.
    assert_eq!(varied.cells(), 2);
    assert_eq!(varied.id(0), own.id(0));
    assert_ne!(varied.id(1), own.id(0));
    let slower = varied.spec(1);
    let Endpoint::Paced(pacing) = &slower.agents()[0].endpoint else { panic!("{slower:?}") };
    assert!((pacing.rate - 50.0).abs() < f64::EPSILON);
    assert_eq!(varied.factors(1).last(), Some(&NamedLevel::new("rate", &Level::Number(50.0))));
    assert!(own.factors(0).iter().all(|own| own.name != "rate"));
}

#[test]
fn a_flamegraph_at_the_usual_rate_has_the_identity_it_always_had() {
    let probes = |flamegraph: &str| {
        let plan = paced(&format!(
            "runtime = \"python\"\nmatrix = {{ model = [\"m\"] }}\n\
             probes = {{ flamegraph = {flamegraph} }}"
        ));
        plan.identity(0)["probes"].clone()
    };
    let usual = serde_json::json!({ "flamegraph": true });
    assert_eq!(probes("true"), usual);
    assert_eq!(probes("{ required = true }"), usual);
    assert_eq!(probes("{ rate = 100 }"), usual);
    assert_eq!(probes("{ rate = 250 }"), serde_json::json!({ "flamegraph": 250 }));
    assert_eq!(probes("false"), serde_json::Value::Null);
}

/// Two Ollama servers; `{experiment}` is replaced.
const SERVERS: &str = r#"
schema = 1
name = "s"
[defaults]
repeats = 4
[endpoint]
a = { ollama = "http://localhost:1" }
b = { ollama = "http://localhost:2" }
[options]
tuned = { temperature = 1.0 }
[prompt]
p = { text = "p" }
[scenario]
one = [{ agent = "x", endpoint = "a", prompt = "p", options = "tuned" }]
two = [
  { agent = "x", endpoint = "a", prompt = "p", options = "tuned" },
  { agent = "y", endpoint = "b", prompt = "p" },
]
[experiment.e]
{experiment}
"#;

fn loads(experiment: &str) -> Loads {
    let plan = plan_of(&SERVERS.replace("{experiment}", experiment));
    plan.loads(&plan.order())
}

#[test]
fn a_block_changes_what_is_loaded_once_per_load_and_options_that_load_nothing_count_nothing() {
    let two =
        "scenario = \"one\"\nmatrix = { model = [\"m\", \"n\"], temperature = [0.1, 0.2, 0.3] }";
    let found = loads(two);
    // One change within each of the four blocks, and none or one between them.
    assert!((4..=7).contains(&found.changes), "{found:?}");
    assert_eq!(found.cold, 0);
    assert_eq!(
        loads("scenario = \"one\"\nmodel = \"m\"\nmatrix = { top_k = [1, 2, 3] }").changes,
        0
    );
    let contexts = "order = \"sequential\"\nscenario = \"one\"\nmodel = \"m\"\nmatrix = { num_ctx = [1, 2, 3] }";
    assert_eq!(loads(contexts).changes, 2);
}

#[test]
fn loads_are_counted_per_server() {
    // The second server's agent has no options, so only the first loads again.
    let text = "order = \"sequential\"\nscenario = \"two\"\nmodel = \"m\"\nmatrix = { num_ctx = [1, 2, 3] }";
    assert_eq!(loads(text).changes, 2);
    let text = "order = \"sequential\"\nscenario = \"two\"\nmatrix = { model = [\"m\", \"n\"] }";
    assert_eq!(loads(text).changes, 2);
    // Another scenario with the same agent on the same server finds its model loaded.
    let text = "order = \"sequential\"\nmodel = \"m\"\nmatrix = { scenario = [\"two\", \"one\"] }";
    assert_eq!(loads(text).changes, 0);
}

#[test]
fn cold_runs_load_on_purpose_and_without_a_warm_up() {
    let text = "scenario = \"two\"\nmodel = \"m\"\nwarmup = 2\nmatrix = { cold = [false, true] }";
    assert_eq!(loads(text), Loads { changes: 0, cold: 8 });
    let plan = plan_of(&SERVERS.replace("{experiment}", text));
    let scenario = |cell| plan.spec(cell).scenario().cloned().unwrap();
    assert_eq!((scenario(0).warmup, scenario(0).cold), (2, false));
    assert_eq!((scenario(1).warmup, scenario(1).cold), (0, true));
    assert_eq!(plan.identity(0).get("cold"), None);
    assert_eq!(plan.identity(1)["cold"], true);
    let without =
        plan_of(&SERVERS.replace("{experiment}", &text.replace("{ cold = [false, true] }", "{}")));
    assert_eq!(without.id(0), plan.id(0), "the default level changes no identity");
    assert_eq!(plan.factors(1).last(), Some(&NamedLevel::new("cold", &Level::Bool(true))));
}

#[test]
fn paced_endpoints_carry_nothing_over() {
    let text = SERVERS.replace("{ ollama = \"http://localhost:1\" }", "{ simulated = {} }");
    let text =
        text.replace("{experiment}", "scenario = \"one\"\nmatrix = { model = [\"m\", \"n\"] }");
    let plan = plan_of(&text);
    assert_eq!(plan.loads(&plan.order()), Loads::default());
}

#[test]
fn named_gpus_are_another_measurement_and_their_order_is_none() {
    let probes = |gpu: &str| {
        let mut written = study(vec![60], 1);
        written.further = format!("probes = {{ gpu = {gpu} }}\n{}", written.further);
        plan_of(&written.text()).identity(0)["probes"].clone()
    };
    let usual = serde_json::json!({ "gpu": "100ms" });
    for same in ["true", "{ required = true }", "{ interval = \"0.1s\" }", "{ devices = [] }"] {
        assert_eq!(probes(same), usual, "{same}");
    }
    let named = probes("{ devices = [1, \"GPU-a\"] }");
    assert_eq!(
        named,
        serde_json::json!({ "gpu": { "devices": ["1", "GPU-a"], "interval": "100ms" } })
    );
    assert_eq!(probes("{ devices = [\"GPU-a\", 1] }"), named);
}

#[test]
fn a_price_changes_no_run() {
    let written = study(vec![60, 90], 2);
    let text = written.text();
    let priced = format!("{text}\n[price]\nusd_per_hour = 0.8\nusd_per_kwh = 0.25\n");
    let (plain, priced) = (plan_of(&text), plan_of(&priced));
    assert_eq!(priced.study().price.usd_per_kwh, Some(0.25));
    for cell in 0..2 {
        assert_eq!(plain.id(cell), priced.id(cell));
    }
}

#[test]
fn an_id_has_no_signs() {
    assert!(CellId::of_hex(&"+f".repeat(16)).is_none());
    assert!(CellId::of_hex(&"0f".repeat(16)).is_some());
}
