//! Reporting 100, 1 000 and 10 000 runs with the files of their probes, every cell compared with a baseline
//! and hypotheses judged over all of them: time and peak memory of each step. Target: under 5 s in all at 10 000.
//!
//! `cargo bench --bench report`. Each case runs in a process of its own, so that peaks do not mix; the
//! runs are sealed by the store in a temporary folder first, which takes longer than reporting them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use formats::protocol::AgentRecord;
use rayon::prelude::*;
use runner::cells::Filters;
use runner::manifest;
use runner::metrics::{self, Conditions};
use runner::plan::Plan;
use runner::report::{self, Template};
use runner::store::record::{Evidence, ProcessUsage, RUN_FORMAT, RunRecord};
use runner::store::{Store, partial_folder, seal};

#[path = "../tests/report/calls.rs"]
mod calls;

const MS: u64 = 1_000_000;
const TOKENS: u64 = 128;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(index) = arguments.iter().position(|a| a == "--case") {
        case(arguments[index + 1].parse().expect("a number of runs"));
        return;
    }
    println!(
        "{:>6} {:>6} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "runs", "cells", "make", "open", "collect", "report", "html", "pages", "in all", "peak"
    );
    for runs in ["100", "1000", "10000"] {
        let program = std::env::current_exe().expect("this program has a path");
        let status = std::process::Command::new(program).args(["--case", runs]).status();
        assert!(status.is_ok_and(|status| status.success()), "case {runs} failed");
    }
}

fn case(runs: usize) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let plan = plan(runs / 5);
    let start = Instant::now();
    make(&plan, folder.path());
    let made = start.elapsed();

    let start = Instant::now();
    let store = Store::open(folder.path(), "many").expect("a store");
    let opened = start.elapsed();
    let data = Arc::new(report::collect(&plan, &store, "", &[]).expect("data"));
    let collected = start.elapsed();
    let template = Template::builtin("tr117.md.j2").expect("it is built in");
    let report = report::study(&data, &template, false).expect("a complete study");
    let markdown = report.markdown();
    assert!(markdown.len() > runs * 20 && report.figures().len() >= 2);
    // it stands for what a study renders: pairs are compared and hypotheses judged
    assert!(markdown.contains("Test: paired t") && !markdown.contains("**no data**"));
    let rendered = start.elapsed();
    let html = report.html();
    assert!(html.len() > runs * 20);
    let html_made = start.elapsed();
    let pages = report::cells(&data).expect("pages of cells");
    assert_eq!(pages.len(), plan.cells());
    let all = start.elapsed();
    let seconds = |time: Duration| format!("{:.2} s", time.as_secs_f64());
    println!(
        "{runs:>6} {:>6} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
        plan.cells(),
        seconds(made),
        seconds(opened),
        seconds(collected.saturating_sub(opened)),
        seconds(rendered.saturating_sub(collected)),
        seconds(html_made.saturating_sub(rendered)),
        seconds(all.saturating_sub(html_made)),
        seconds(all),
        peak().unwrap_or_else(|| "unknown".into()),
    );
}

fn plan(cells: usize) -> Plan {
    let contexts: Vec<String> = (1..=cells / 2).map(|n| (n * 64).to_string()).collect();
    let text = format!(
        r#"
schema = 1
name = "many"
[defaults]
repeats = 5
[endpoint]
a = {{ ollama = "http://localhost:11434" }}
b = {{ ollama = "http://localhost:11435" }}
[options]
tuned = {{ temperature = 0.8 }}
[prompt]
p = {{ text = "hello" }}
[scenario]
pair = [
  {{ agent = "collector", endpoint = "a", prompt = "p", options = "tuned" }},
  {{ agent = "insight", endpoint = "b", prompt = "p", options = "tuned" }},
]
[experiment.all]
model = "m"
scenario = "pair"
probes = {{ chunks = true, loop_lag = "1ms" }}
matrix = {{ num_ctx = [{}], throttle = ["off", "60 tok/s"] }}
baseline = {{ throttle = "off" }}
[experiment.all.hypothesis.slower_is_faster]
claim = "Slower is faster"
greater = {{ metric = "efficiency_percent", at = {{ throttle = "60 tok/s" }}, than = {{ throttle = "off" }} }}
[experiment.all.hypothesis.half_as_fast]
claim = "Throttled, it is less than half as fast"
ratio = {{ metric = "aggregate_tokens_per_s", of = {{ throttle = "60 tok/s" }}, to = {{ throttle = "off" }}, below = 0.5 }}
[experiment.all.hypothesis.together]
claim = "The time to the first token goes with the gaps"
correlation = {{ x = "ttft_ms", y = "itl_p99_ms", at_least = 0.8 }}
[experiment.all.hypothesis.steady]
claim = "The gaps are short"
threshold = {{ metric = "itl_p99_ms", stat = "p95", below = 20 }}
"#,
        contexts.join(", ")
    );
    let study = manifest::parse(Path::new("many.toml"), &text, None).expect("a right manifest");
    Plan::new(study, &Filters::default()).expect("a plan")
}

fn make(plan: &Plan, results: &Path) {
    let store = Store::open(results, "many").expect("a store");
    (0..u32::try_from(plan.cells()).expect("few")).into_par_iter().for_each(|cell| {
        let id = plan.id(cell).hex();
        let folder = store.cell_folder(&id, &plan.name(cell)).expect("a folder");
        for repeat in 1..=plan.repeats(cell) {
            let partial = partial_folder(&folder, repeat);
            fs::create_dir_all(&partial).expect("a folder");
            let agents = agents(u64::from(cell), u64::from(repeat));
            files(&agents, &partial);
            let process = ProcessUsage::default();
            let (recorded, conditions) = (metrics::Recorded::default(), Conditions::default());
            let computed = metrics::compute(&agents, &recorded, &process, conditions);
            // block by block, so that the runs are pairs
            let time = u64::from(repeat) * 100_000 + u64::from(cell);
            let mut record = RunRecord {
                format: RUN_FORMAT,
                identity_version: 2,
                levels: Vec::new(),
                cell: id.clone(),
                cell_name: plan.name(cell),
                repeat,
                attempt: 1,
                identity: plan.spec(cell).identity,
                started: Some(format!("2026-01-01T00:00:00.{time:09}Z")),
                finished: Some(format!("2026-01-01T00:00:01.{time:09}Z")),
                imported: None,
                agents: Vec::new(),
                evidence: Evidence::default(),
                process,
                machine: None,
                calls: computed.calls,
                metrics: computed.run,
                servers: std::collections::BTreeMap::new(),
                serving: BTreeMap::new(),
                probes: BTreeMap::new(),
                command: None,
                sampling: BTreeMap::new(),
                wire: None,
                fallback_of: None,
                rerun_of: None,
                tokens: None,
                recomputed: Vec::new(),
                files: BTreeMap::new(),
            };
            seal::seal(&partial, &folder.join(repeat.to_string()), &mut record).expect("sealed");
        }
    });
}

/// Two agents whose gaps depend on the cell and the repeat.
fn agents(number: u64, repeat: u64) -> AgentRecord {
    let call = |agent: &str, call: u32, more: u64| {
        // not the same step between the cells in every repeat, which would leave nothing to test by
        let noise = (number * 31 + repeat * repeat * 7 + number % 13 * repeat + more) % 1000 * 1000;
        let gap = (8 + number % 2) * MS + noise;
        let texts: Vec<u64> = (0..TOKENS).map(|i| 50 * MS + i * gap + i % 5 * 100_000).collect();
        calls::call(agent, call, (1 + u64::from(call) * 4) * 1000 * MS, texts)
    };
    calls::record(vec![
        call("collector", 0, 0),
        call("insight", 0, 3),
        call("collector", 1, 0),
        call("insight", 1, 3),
    ])
}

fn files(record: &AgentRecord, folder: &Path) {
    let mut chunks = String::from("time_ns,read_ns,agent,call,index,bytes,gap_ms,parse_ms,text\n");
    for call in &record.calls {
        for (index, offset) in call.text_offsets_ns.iter().enumerate() {
            let time = call.start_ns + offset;
            let _ =
                writeln!(chunks, "{time},{time},{},{},{index},100,8,0.01,1", call.agent, call.call);
        }
    }
    let mut lag = String::from("time_ns,lag_ms\n");
    for time in 1..2000_u64 {
        let _ = writeln!(lag, "{},0.{}", (1000 + 3 * time) * MS, time % 97);
    }
    let json = serde_json::to_string(record).expect("a record");
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).expect("a file");
    write("agent.json", &json);
    write("chunk_metrics.csv", &chunks);
    write("loop_lag.csv", &lag);
}

/// Largest resident set of this process, where the system tells it.
fn peak() -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kb: f64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(format!("{:.0} MiB", kb / 1024.0))
}
