//! Planning a million runs: time and peak memory. Target: under 3 s and 1 GiB.
//!
//! `cargo bench --bench plan`. Each case runs in a process of its own, so that peaks do not mix.

use std::path::Path;
use std::time::Instant;

use runner::cells::Filters;
use runner::manifest;
use runner::plan::Plan;

const STUDY: &str = r#"
schema = 1
name = "million"
[endpoint]
a = { ollama = "http://localhost:11434" }
b = { ollama = "http://localhost:11435" }
[options]
tuned = { temperature = 0.8 }
[prompt]
p = { text = "hello" }
[scenario]
pair = [
  { agent = "collector", endpoint = "a", prompt = "p", options = "tuned" },
  { agent = "insight", endpoint = "b", prompt = "p", options = "tuned" },
]
[experiment.all]
scenario = "pair"
max_runs = 1_000_000
"#;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(index) = arguments.iter().position(|a| a == "--case") {
        case(&arguments[index + 1]);
        return;
    }
    println!(
        "{:<28} {:>10} {:>10} {:>9} {:>10} {:>9}",
        "case", "cells", "runs", "plan", "order", "peak"
    );
    for name in ["1000000 cells × 1", "200000 cells × 5"] {
        let program = std::env::current_exe().expect("this program has a path");
        let status = std::process::Command::new(program).args(["--case", name]).status();
        assert!(status.is_ok_and(|status| status.success()), "case {name} failed");
    }
}

fn case(name: &str) {
    let levels = |n: usize, scale: usize| {
        let levels: Vec<String> = (1..=n).map(|level| (level * scale).to_string()).collect();
        levels.join(", ")
    };
    let (models, repeats) = if name.starts_with("1000000") { (10, 1) } else { (2, 5) };
    let models: Vec<String> = (0..models).map(|m| format!("\"model-{m}\"")).collect();
    let text = format!(
        "{STUDY}repeats = {repeats}\nmatrix = {{ model = [{}], num_ctx = [{}], throttle = [{}], \
         read_buffer = [{}], num_gpu = [{}] }}\n",
        models.join(", "),
        levels(100, 64),
        levels(20, 5),
        levels(10, 4096),
        levels(5, 20),
    );
    let start = Instant::now();
    let study = manifest::parse(Path::new("million.toml"), &text, None).expect("a right manifest");
    let plan = Plan::new(study, &Filters::default()).expect("a plan");
    let planned = start.elapsed();
    let order = plan.order();
    let ordered = start.elapsed();
    assert_eq!(order.len(), 1_000_000);
    println!(
        "{name:<28} {:>10} {:>10} {:>7.2} s {:>8.2} s {:>9}",
        plan.cells(),
        plan.runs(),
        planned.as_secs_f64(),
        ordered.checked_sub(planned).unwrap().as_secs_f64(),
        peak().unwrap_or_else(|| "unknown".into()),
    );
}

/// Largest resident set of this process, where the system tells it.
fn peak() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kb: f64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(format!("{:.0} MiB", kb / 1024.0))
}
