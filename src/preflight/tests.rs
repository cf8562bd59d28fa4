//! What facts come to, without a server.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use agent::wire::headers::HeaderError;

use super::*;
use crate::cells::Filters;
use crate::manifest;
use crate::os::condition::Condition;
use crate::plan::{CellSpec, Plan};
use crate::probe::gpu::Device;
use crate::python::Program;
use crate::server::{Doubt, LoadedModel, ModelFacts, ServerError, ServerFacts};
use crate::store::StoredSize;

const MANIFEST: &str = r#"
schema = 1
name = "s"
[endpoint]
a = { ollama = "http://localhost:11434" }
b = { openai = "http://localhost:8080/v1", api_key_env = "KEY" }
[options]
tuned = { num_ctx = 4096 }
plain = { temperature = 0 }
[prompt]
p = { text = "p" }
[scenario]
left = [{ agent = "left", endpoint = "a", prompt = "p", options = "tuned" }]
both = [
  { agent = "left", endpoint = "a", prompt = "p" },
  { agent = "right", endpoint = "b", prompt = "p", options = "plain", count = 3 },
]
[experiment.e]
matrix = { model = ["gemma3", "qwen"], scenario = ["left", "both"] }
"#;

fn plan(text: &str) -> Plan {
    let study = manifest::parse(Path::new("s.toml"), text, None)
        .unwrap_or_else(|error| panic!("{:?}", miette::Report::new(error)));
    Plan::new(study, &Filters::default()).unwrap()
}

fn needs(text: &str) -> Needs {
    let plan = plan(text);
    let specs: Vec<(CellId, CellSpec)> =
        (0..4).take(plan.cells()).map(|cell| (plan.id(cell), plan.spec(cell))).collect();
    Needs::of(specs.iter().map(|(id, spec)| (*id, spec)))
}

fn model(context: u64) -> ModelFacts {
    ModelFacts {
        digest: Some("d".to_owned()),
        context_length: Some(context),
        ..ModelFacts::default()
    }
}

/// Both servers are up and have both models.
fn served() -> Facts {
    let models: BTreeMap<String, ModelFacts> =
        ["gemma3", "qwen"].map(|name| (name.to_owned(), model(8192))).into();
    let server = ServerFacts {
        server: Some("x".to_owned()),
        listed: Some(vec!["gemma3".to_owned(), "qwen".to_owned()]),
        models,
        lists_all: true,
        ..ServerFacts::default()
    };
    Facts {
        servers: [("a".to_owned(), Ok(server.clone())), ("b".to_owned(), Ok(server))].into(),
        ..Facts::default()
    }
}

fn no_key() -> HeaderError {
    HeaderError::Missing { what: "its API key".to_owned(), variable: "KEY".to_owned() }
}

fn server<'f>(facts: &'f mut Facts, name: &str) -> &'f mut ServerFacts {
    facts.servers.get_mut(name).unwrap().as_mut().unwrap()
}

#[test]
fn when_all_is_there_nothing_is_found() {
    assert_eq!(judge(&needs(MANIFEST), &served()), []);
}

#[test]
fn a_server_that_is_down_dooms_its_cells_only() {
    let mut facts = served();
    let error = ServerError::Unreachable {
        url: "http://x".to_owned(),
        reason: "no".to_owned(),
        connected: true,
        late: false,
    };
    facts.servers.insert("b".to_owned(), Err(error));
    let needs = needs(MANIFEST);
    let findings = judge(&needs, &facts);
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0].severity, Severity::Blocking);
    assert_eq!(findings[0].cells, needs.endpoints["b"].cells);
    assert_eq!((needs.cells.len(), doomed(&findings, false).len()), (4, 2));
    facts.servers.insert("b".to_owned(), Err(ServerError::Header(no_key())));
    let said = judge(&needs, &facts)[0].sentence();
    assert!(said.contains("KEY") && said.starts_with("endpoint `b`"), "{said}");
}

#[test]
fn a_missing_model_dooms_its_cells_and_names_the_nearest() {
    let mut facts = served();
    let a = server(&mut facts, "a");
    a.missing = vec!["qwen".to_owned()];
    a.models.remove("qwen");
    a.listed = Some(vec!["gemma3".to_owned(), "qwen3".to_owned()]);
    let findings = judge(&needs(MANIFEST), &facts);
    let [finding] = findings.as_slice() else { panic!("{findings:?}") };
    let said = finding.sentence();
    assert!(said.contains("gemma3, qwen3") && said.contains("did you mean `qwen3`?"), "{said}");
    assert!(said.contains("ollama pull qwen"), "{said}");
    assert_eq!(finding.cells.len(), 2, "qwen in both scenarios");
    assert!(!finding.is_absolute());
}

/// Gateways leave out what they take: only a list that is known to be whole decides.
#[test]
fn a_model_that_a_list_leaves_out_is_a_warning_where_lists_may_do_so() {
    let mut facts = served();
    let b = server(&mut facts, "b");
    b.lists_all = false;
    b.missing = vec!["qwen".to_owned()];
    b.models.remove("qwen");
    b.listed = Some(Vec::new());
    let findings = judge(&needs(MANIFEST), &facts);
    let [finding] = findings.as_slice() else { panic!("{findings:?}") };
    assert_eq!(finding.severity, Severity::Warning);
    let said = finding.sentence();
    assert!(
        said.contains("it holds no model at all") && said.contains("tried all the same"),
        "{said}"
    );
    server(&mut facts, "b").lists_all = true;
    assert_eq!(judge(&needs(MANIFEST), &facts)[0].severity, Severity::Blocking);
}

#[test]
fn whoever_skips_preflight_has_everything_tried_that_requests_can_be_made_for() {
    let needs = needs(MANIFEST);
    let tried = |error: ServerError| {
        let mut facts = served();
        facts.servers.insert("b".to_owned(), Err(error));
        let findings = judge(&needs, &facts);
        assert_eq!(doomed(&findings, false).len(), 2, "{findings:?}");
        doomed(&findings, true).is_empty()
    };
    let url = "http://x".to_owned();
    let (reason, message) = (String::new(), None);
    let gone = ServerError::Unreachable { url: url.clone(), reason, connected: false, late: false };
    assert!(tried(gone));
    assert!(tried(ServerError::Refused { url, status: 401, message, challenge: None }));
    assert!(!tried(ServerError::Header(no_key())));
    assert!(!tried(ServerError::Trust("no such file".to_owned())));
}

#[test]
fn what_could_not_be_learnt_of_a_server_is_a_warning() {
    let mut facts = served();
    let doubt = Doubt { message: "it is slow".to_owned(), advice: "wait" };
    facts
        .servers
        .insert("b".to_owned(), Ok(ServerFacts { doubts: vec![doubt], ..ServerFacts::default() }));
    let findings = judge(&needs(MANIFEST), &facts);
    let [finding] = findings.as_slice() else { panic!("{findings:?}") };
    assert_eq!(finding.severity, Severity::Warning);
    let said = finding.sentence();
    assert_eq!(said, "endpoint `b`: it is slow (http://localhost:8080/v1); wait");
}

#[test]
fn words_of_servers_steer_no_terminal() {
    let mut facts = served();
    let a = server(&mut facts, "a");
    a.missing = vec!["qwen".to_owned()];
    a.models.remove("qwen");
    a.listed = Some(vec!["\u{1b}[2J\u{202e}\nx".to_owned(), "y".repeat(5000)]);
    let said = judge(&needs(MANIFEST), &facts)[0].sentence();
    assert!(
        said.contains("it has \u{fffd}[2J\u{fffd}\u{fffd}x, yyy") && said.len() < 500,
        "{said:?}"
    );
}

#[test]
fn everything_is_found_at_once_and_reasons_of_a_cell_are_joined() {
    let mut facts = served();
    let error = ServerError::Unreachable {
        url: "http://x".to_owned(),
        reason: "no".to_owned(),
        connected: true,
        late: false,
    };
    facts.servers.insert("b".to_owned(), Err(error));
    let a = server(&mut facts, "a");
    a.missing = vec!["gemma3".to_owned()];
    facts.disk.free_bytes = Some(5 * 1024 * 1024);
    facts.machine = Condition { governors: vec!["powersave".to_owned()], ..Condition::default() };
    let findings = judge(&needs(MANIFEST), &facts);
    let severities: Vec<Severity> = findings.iter().map(|finding| finding.severity).collect();
    let (block, warn) = (Severity::Blocking, Severity::Warning);
    assert_eq!(severities, [block, block, block, warn]);
    assert!(findings[0].is_absolute() && findings[0].message.contains("5 MiB"), "{findings:?}");
    let doomed = doomed(&findings, false);
    assert_eq!(doomed.len(), 4, "a full disk dooms all");
    let most = doomed.values().map(|reason| reason.matches("; ").count()).max();
    assert!(most >= Some(4), "{doomed:?}");
}

#[test]
fn less_room_than_the_runs_will_take_is_a_warning_with_the_estimate() {
    const MIB: u64 = 1024 * 1024;
    let mut facts = served();
    facts.disk.free_bytes = Some(99 * MIB);
    let mut needs = needs(MANIFEST);
    assert_eq!(judge(&needs, &facts), []);
    needs.room.runs = 50;
    let said = |needs: &Needs, facts: &Facts| {
        let findings = judge(needs, facts);
        let [finding] = findings.as_slice() else { panic!("{findings:?}") };
        (finding.severity, finding.sentence())
    };
    let (severity, sentence) = said(&needs, &facts);
    assert_eq!(severity, Severity::Warning);
    assert!(
        sentence.contains("has 99 MiB left, and 50 runs will take about 100 MiB"),
        "{sentence}"
    );
    assert!(sentence.contains("(2 MiB each, taken for runs of which none is stored"), "{sentence}");
    // What is stored is known better.
    needs.room.stored = Some(StoredSize { runs: 7, mean_bytes: MIB / 4 });
    assert_eq!(judge(&needs, &facts), []);
    facts.disk.free_bytes = Some(5 * MIB);
    let (severity, sentence) = said(&needs, &facts);
    assert_eq!(severity, Severity::Blocking);
    assert!(sentence.contains("at least 64 MiB are needed, and 50 runs"), "{sentence}");
    assert!(sentence.contains("12 MiB (256 KiB each, the mean of 7 stored)"), "{sentence}");
}

#[test]
fn a_context_that_cannot_be_is_a_warning() {
    let mut facts = served();
    *server(&mut facts, "a").models.get_mut("gemma3").unwrap() = model(2048);
    server(&mut facts, "b").models.get_mut("qwen").unwrap().served_context = Some(512);
    let limited = MANIFEST.replace("matrix = {", "max_tokens = 600\nmatrix = {");
    let findings = judge(&needs(&limited), &facts);
    let said: Vec<String> = findings.iter().map(Finding::sentence).collect();
    assert_eq!(findings.len(), 2, "{said:?}");
    assert!(said[0].contains("num_ctx = 4096 is more than the 2048 tokens"), "{said:?}");
    assert!(said[1].contains("leaves no room for a prompt"), "{said:?}");
    assert!(findings.iter().all(|finding| finding.severity == Severity::Warning));
    assert_eq!(findings[0].cells.len(), 1, "the baseline asks for none");
}

#[test]
fn fewer_slots_than_streams_and_a_model_without_a_digest_are_warnings() {
    let mut facts = served();
    let b = server(&mut facts, "b");
    b.slots = Some(2);
    b.models.get_mut("qwen").unwrap().digest = None;
    let findings = judge(&needs(MANIFEST), &facts);
    let said: Vec<String> = findings.iter().map(Finding::sentence).collect();
    assert!(said[0].contains("3 streams call it") && said[0].contains("it serves 2"), "{said:?}");
    assert!(said[1].contains("does not tell a digest"), "{said:?}");
    server(&mut facts, "b").slots = Some(3);
    assert_eq!(judge(&needs(MANIFEST), &facts).len(), 1);
}

#[test]
fn cold_cells_of_a_server_that_cannot_unload_are_doomed() {
    let text = MANIFEST.replace("matrix = {", "exclude = [{ scenario = \"both\", cold = true, model = \"qwen\" }]\nmatrix = { cold = [false, true],");
    let plan = plan(&text);
    let specs: Vec<(CellId, CellSpec)> =
        (0..).take(plan.cells()).map(|cell| (plan.id(cell), plan.spec(cell))).collect();
    let needs = Needs::of(specs.iter().map(|(id, spec)| (*id, spec)));
    let findings = judge(&needs, &served());
    let [finding] = findings.as_slice() else { panic!("{findings:?}") };
    assert_eq!((specs.len(), finding.cells.len()), (7, 1));
    assert!(finding.sentence().contains("cold=false"), "{}", finding.sentence());
}

#[test]
fn python_and_instruments_doom_those_that_cannot_do_without() {
    let text = MANIFEST.replace(
        "matrix = {",
        "runtime = \"python\"\nprobes = { flamegraph = { required = true } }\nmatrix = {",
    );
    let mut facts = served();
    facts.python.insert(Program::Calls, Python::Unusable("no Python".to_owned()));
    facts.py_spy = Some(PySpy::Unavailable("no py-spy".to_owned()));
    let needs = needs(&text);
    let findings = judge(&needs, &facts);
    let said: Vec<String> = findings.iter().map(Finding::sentence).collect();
    assert_eq!(said[0], "runtime `python`: no Python");
    assert!(said[1].starts_with("probe `flamegraph`: it is required"), "{said:?}");
    assert!(findings.iter().all(|finding| finding.cells == needs.cells), "{findings:?}");
    facts.python.clear();
    let wanted = text.replace("{ required = true }", "true");
    let findings = judge(&self::needs(&wanted), &facts);
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].severity, Severity::Warning);
}

#[test]
fn a_profiler_that_may_not_look_into_processes_is_no_profiler() {
    let text = MANIFEST.replace(
        "matrix = {",
        "runtime = \"python\"\nprobes = { flamegraph = { required = true } }\nmatrix = {",
    );
    let mut facts = served();
    facts.py_spy = Some(PySpy::Found("/usr/bin/py-spy".into()));
    let needs = needs(&text);
    assert_eq!(judge(&needs, &facts), []);
    facts.no_tracing = Some("kernel.yama.ptrace_scope is 1".to_owned());
    let findings = judge(&needs, &facts);
    let [finding] = findings.as_slice() else { panic!("{findings:?}") };
    assert!(finding.sentence().contains("ptrace_scope is 1"), "{finding:?}");
    assert_eq!((finding.severity, &finding.cells), (Severity::Blocking, &needs.cells));
}

fn gpu(free: u64, total: u64) -> Device {
    Device {
        index: 0,
        uuid: None,
        name: "GPU".to_owned(),
        driver: None,
        memory_total_bytes: Some(total),
        memory_free_bytes: Some(free),
    }
}

#[test]
fn models_larger_than_the_free_memory_of_the_gpus_are_a_warning() {
    const GB: u64 = 1_000_000_000;
    let mut facts = served();
    for (endpoint, size) in [("a", 5 * GB), ("b", 4 * GB)] {
        for model in server(&mut facts, endpoint).models.values_mut() {
            model.size_bytes = Some(size);
        }
    }
    assert_eq!(judge(&needs(MANIFEST), &facts), [], "nothing is known of GPUs");
    facts.gpus = Some(Ok(vec![gpu(8 * GB, 12 * GB)]));
    let findings = judge(&needs(MANIFEST), &facts);
    let [finding] = findings.as_slice() else { panic!("{findings:?}") };
    let said = finding.sentence();
    assert!(said.contains("take 9.0 GB, and 8.0 of 12.0 GB are free"), "{said}");
    assert_eq!(
        (finding.severity, finding.cells.len()),
        (Severity::Warning, 2),
        "both servers at once"
    );
    // What a server holds already is room for it.
    server(&mut facts, "a").loaded =
        Some(vec![LoadedModel { vram_bytes: Some(2 * GB), ..LoadedModel::default() }]);
    assert_eq!(judge(&needs(MANIFEST), &facts), []);
    // A server elsewhere has other GPUs.
    server(&mut facts, "a").loaded = None;
    let remote = MANIFEST.replace("http://localhost:11434", "http://gpu.example:11434");
    assert_eq!(judge(&needs(&remote), &facts), []);
}

#[test]
fn a_gpu_that_is_not_there_dooms_those_that_require_it() {
    let text = MANIFEST.replace("matrix = {", "probes = { gpu = true }\nmatrix = {");
    let mut facts = served();
    facts.gpus = Some(Err("no driver".to_owned()));
    let findings = judge(&needs(&text), &facts);
    assert_eq!((findings.len(), findings[0].severity), (1, Severity::Warning));
    let text = text.replace("gpu = true", "gpu = { required = true }");
    let findings = judge(&needs(&text), &facts);
    assert_eq!((findings.len(), findings[0].severity), (1, Severity::Blocking));
    assert!(findings[0].message.contains("no driver"), "{findings:?}");
}

#[test]
fn streams_need_open_files_of_the_agent_and_of_paced_endpoints() {
    let mut facts = served();
    let limited = |needs: &Needs, hard, facts: &mut Facts| {
        facts.open_files.hard = Some(hard);
        judge(needs, facts).into_iter().map(|finding| (finding.cells.len(), finding.message)).next()
    };
    // Four streams of the Rust runtime in the largest cells, of which there are two; one in the others.
    let rust = needs(MANIFEST);
    assert_eq!(limited(&rust, 36, &mut facts), None);
    let (cells, said) = limited(&rust, 35, &mut facts).unwrap();
    assert!(
        cells == 2 && said.starts_with("4 streams do not fit: the agent's process needs 36"),
        "{said}"
    );
    let (cells, said) = limited(&rust, 32, &mut facts).unwrap();
    assert!(cells == 4 && said.starts_with("1 to 4 streams"), "{said}");
    facts
        .python
        .insert(Program::Calls, Python::Ready { version: String::new(), folder: PathBuf::new() });
    let python = |levels: &str| {
        let table = "[experiment.e]\nruntime = \"python\"\n";
        needs(&MANIFEST.replace("[experiment.e]\n", table).replace("[\"left\", \"both\"]", levels))
    };
    let one = python("[\"both\"]");
    assert_eq!(limited(&one, 52, &mut facts), None);
    assert!(limited(&one, 51, &mut facts).unwrap().1.contains("needs 52"));
    // Its first process has three files for each of the others.
    let apart = python("[\"both\"], processes = [\"agent\"]");
    assert_eq!(limited(&apart, 60, &mut facts), None);
    assert!(limited(&apart, 59, &mut facts).unwrap().1.contains("needs 60"));
    // A user's own runtime needs what its streams take; the executor has files of its own.
    let own = format!(
        "{}[runtime.own]\ncommand = [\"sh\"]\n",
        MANIFEST
            .replace("[experiment.e]\n", "[experiment.e]\nruntime = \"own\"\n")
            .replace("a = { ollama = \"http://localhost:11434\" }", "a = { simulated = {} }")
            .replace(
                "b = { openai = \"http://localhost:8080/v1\", api_key_env = \"KEY\" }",
                "b = { simulated = {} }"
            )
    );
    let own = needs(&own);
    assert_eq!(limited(&own, 36, &mut facts), None);
    assert!(limited(&own, 35, &mut facts).unwrap().1.contains("the executor"));
    facts.open_files.hard = None;
    assert_eq!(judge(&rust, &facts), []);
}

/// Two models at the same time on Ollama servers of this machine, and what is set for them.
fn crowded(left: &str, right: &str) -> Needs {
    needs(&format!(
        r#"
schema = 1
name = "s"
[endpoint]
a = {{ ollama = "http://localhost:11434" }}
c = {{ ollama = "http://127.0.0.1:11435" }}
far = {{ ollama = "http://192.0.2.1:11434" }}
[options]
left = {{ temperature = 0{left} }}
right = {{ temperature = 0{right} }}
[prompt]
p = {{ text = "p" }}
[scenario]
pair = [
  {{ agent = "left", endpoint = "a", prompt = "p", options = "left", model = "gemma3" }},
  {{ agent = "right", endpoint = "c", prompt = "p", options = "right", model = "gemma3" }},
]
shared = [{{ agent = "left", endpoint = "a", prompt = "p", model = "gemma3", count = 8 }}]
apart = [
  {{ agent = "left", endpoint = "a", prompt = "p", model = "gemma3" }},
  {{ agent = "right", endpoint = "far", prompt = "p", model = "gemma3" }},
]
[experiment.e]
matrix = {{ scenario = ["pair", "shared", "apart"] }}
"#
    ))
}

/// What is found of processors where there are so many cores and no GPU, of servers that hold a model with
/// so much of it in the memory of a GPU.
fn crowds(needs: &Needs, cores: usize, vram_bytes: Option<u64>, gpu: bool) -> Vec<Finding> {
    let mut facts = served();
    let loaded = LoadedModel { name: "gemma3:latest".to_owned(), vram_bytes, ..Default::default() };
    let server = server(&mut facts, "a").clone();
    for name in ["a", "c", "far"] {
        let loaded = Some(vec![loaded.clone()]);
        facts.servers.insert(name.to_owned(), Ok(ServerFacts { loaded, ..server.clone() }));
    }
    facts.own_servers = ["a", "c"].map(str::to_owned).into();
    facts.machine.cores = Some(cores);
    facts.gpus = Some(if gpu { Ok(vec![self::gpu(8, 8)]) } else { Err("no driver".to_owned()) });
    let findings = judge(needs, &facts);
    findings.into_iter().filter(|finding| finding.subject == Subject::Cpu).collect()
}

#[test]
fn models_that_share_a_processor_are_told_their_threads() {
    let needs = crowded("", "");
    assert_eq!(needs.cells.len(), 3);
    for told in [Some(0), None] {
        let found = crowds(&needs, 2, told, false);
        let [finding] = found.as_slice() else { panic!("{told:?}: {found:?}") };
        assert_eq!((finding.severity, finding.cells.len()), (Severity::Warning, 1));
        let said = finding.sentence();
        assert!(said.contains("scenario `pair` has 2 models"), "{said}");
        assert!(said.contains("on the 2 cores of this machine, with 4 threads together"), "{said}");
        assert!(
            said.contains("`num_thread` is not set") && said.contains("`num_thread = 1`"),
            "{said}"
        );
    }
    assert!(crowds(&needs, 8, None, false)[0].advice.contains("`num_thread = 4`"));
    // On a GPU, or where nobody told but there is one.
    assert_eq!(crowds(&needs, 2, Some(1), false), []);
    assert_eq!(crowds(&needs, 2, None, true), []);

    let set = |left: &str, right: &str, cores| {
        let found = crowds(&crowded(left, right), cores, None, false);
        found.first().map(|finding| finding.message.clone())
    };
    assert_eq!(set(", num_thread = 1", ", num_thread = 1", 2), None);
    assert!(set(", num_thread = 1", "", 2).unwrap().contains("3 threads"));
    let said = set(", num_thread = 2", ", num_thread = 2", 2).unwrap();
    assert!(said.contains("4 threads together:"), "{said}");
    let found = crowds(&crowded(", num_thread = 1", ", num_thread = 1"), 1, None, false);
    assert!(found[0].advice.contains("fewer agents"), "{found:?}");
    // A model that is kept off the GPU.
    let found = crowds(&crowded(", num_gpu = 0", ", num_gpu = 0"), 2, Some(1), true);
    assert_eq!(found.len(), 1);
}
