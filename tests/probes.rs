//! The GPU and the host probe in whole runs: what they see, what they say when they cannot, and that
//! what they missed never passes for measured. The driver's program is a stand-in that speaks as
//! nvidia-smi does; the processes that are watched are real.

mod study;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use runner::probe::gpu::{self, GpuSample};
use runner::probe::host::{self, HostSample};
use runner::store::Store;
use runner::store::record::RunRecord;

use study::{Manifest, RUNNER, Study};

const STAND_IN: &str = include_str!("fixtures/nvidia-smi/stand-in.sh");
/// Calls of 0.8 s.
const PACING: &str = r#"ttft = "20ms", rate = "100 tok/s""#;
const DEFAULTS: &str = "max_tokens = 80";

fn study(experiment: &str) -> Study {
    let manifest =
        Manifest { defaults: DEFAULTS, pacing: PACING, experiment, ..Manifest::default() };
    let study = Study::new(&manifest);
    fs::create_dir(study.folder.path().join("driver")).unwrap();
    let program = smi(&study);
    fs::write(&program, STAND_IN).unwrap();
    executable(&program);
    study
}

fn smi(study: &Study) -> PathBuf {
    study.folder.path().join("driver/nvidia-smi")
}

#[cfg(unix)]
fn executable(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Says something of the driver: a file beside the stand-in.
fn driver(study: &Study, name: &str, text: &str) {
    fs::write(study.folder.path().join("driver").join(name), text).unwrap();
}

fn exec_with(study: &Study, smi: &std::path::Path) -> (Option<i32>, String) {
    let output = study.command(&["exec"]).env("RUNNER_NVIDIA_SMI", smi).output().unwrap();
    (output.status.code(), study::text(&output))
}

#[track_caller]
fn exec(study: &Study) -> (PathBuf, RunRecord) {
    let (code, said) = exec_with(study, &smi(study));
    assert_eq!(code, Some(0), "{said} {:?}", study.failures());
    study.expect(0, &["recompute", "--check"]);
    run(study)
}

fn run(study: &Study) -> (PathBuf, RunRecord) {
    let store = Store::open(&study.results, "demo").unwrap();
    let cell = store.cells().into_iter().next().expect("a run is sealed").to_owned();
    (store.folder(&cell, 1).unwrap().to_owned(), store.runs(&cell)[&1].clone())
}

fn gpu_rows(folder: &std::path::Path) -> Vec<GpuSample> {
    let mut reader = csv::Reader::from_path(folder.join(gpu::METRICS_FILE)).unwrap();
    reader.deserialize().map(Result::unwrap).collect()
}

fn host_rows(folder: &std::path::Path) -> Vec<HostSample> {
    let mut reader = csv::Reader::from_path(folder.join(host::METRICS_FILE)).unwrap();
    reader.deserialize().map(Result::unwrap).collect()
}

#[track_caller]
fn metric(record: &RunRecord, name: &str) -> f64 {
    record.metrics[name].unwrap_or_else(|| panic!("{name} is unknown"))
}

#[test]
fn a_run_tells_power_energy_and_use_of_the_gpus_and_what_they_hide() {
    let study = study("probes = { gpu = true }");
    driver(&study, "gpus", "2");
    driver(&study, "garbage", "");
    let (folder, record) = exec(&study);
    assert_eq!(record.probes["gpu"], "ok");
    let rows = gpu_rows(&folder);
    let of_first: Vec<&GpuSample> = rows.iter().filter(|row| row.gpu == 0).collect();
    assert!(of_first.len() >= 4, "{rows:?}");
    assert!(rows.is_sorted_by_key(|row| row.time_ns));
    assert!(of_first.iter().skip(1).all(|row| row.interval_ms.is_some_and(|ms| ms > 50.0)));
    // 100 and 200 W, at their limit, to the end of the calls.
    let active_s = metric(&record, "active_s");
    assert!((metric(&record, "gpu_power_w") - 300.0).abs() < 1e-6);
    assert!((metric(&record, "gpu_energy_j") - 300.0 * active_s).abs() < 1e-6);
    assert!((metric(&record, "joules_per_token") - 300.0 * active_s / 80.0).abs() < 1e-6);
    assert!((metric(&record, "redline_percent") - 100.0).abs() < 1e-9);
    assert!((metric(&record, "gpu_memory_peak_mb") - 2.0 * 2771.0 * 1.048_576).abs() < 1e-3);
    assert_eq!(record.metrics["gpu_pcie_rx_peak_mb_per_s"], None);

    let sampling = &record.sampling["gpu"];
    assert_eq!(sampling.source, "nvidia-smi -lms, driver 570.86.15");
    assert_eq!(sampling.watched.len(), 2);
    assert!(sampling.watched[1].starts_with("GPU 1: NVIDIA H200 (GPU-00000001-"));
    assert_eq!(sampling.unavailable["sm_clock_mhz"], "Not Supported");
    for column in ["energy_j", "pcie_rx_mb_per_s", "processes"] {
        assert!(sampling.unavailable[column].contains("nvidia-smi"), "{sampling:?}");
    }
    assert!(!sampling.unavailable.contains_key("power_w"), "power.draw stands in for .instant");
    assert!(sampling.notes.iter().any(|note| note.contains("no rows, the first `Unable to read")));
    assert!(sampling.notes.iter().any(|note| note.contains("driver's mean")), "{sampling:?}");
    assert_eq!(sampling.rows, rows.len() as u64);
    assert!(sampling.cpu_percent.is_some_and(|percent| percent > 0.0));
    let gpus = &record.evidence.machine.gpus;
    assert_eq!((gpus.len(), gpus[0].memory_mb), (2, Some(143_771)));
    study.expect(0, &["verify"]);
}

#[test]
fn the_gpus_that_are_named_are_watched_and_no_others() {
    let study = study("probes = { gpu = { devices = [1] } }");
    driver(&study, "gpus", "3");
    let (folder, record) = exec(&study);
    assert!(gpu_rows(&folder).iter().all(|row| row.gpu == 1));
    assert_eq!(record.sampling["gpu"].watched.len(), 1);
    assert_eq!(record.identity["probes"]["gpu"]["devices"], serde_json::json!(["1"]));
    driver(&study, "gpus", "1");
    study.edit(&Manifest {
        defaults: DEFAULTS,
        experiment: "probes = { gpu = { devices = [1], required = true } }",
        ..Manifest::default()
    });
    let (code, said) = exec_with(&study, &smi(&study));
    assert_eq!(code, Some(3), "{said}");
    assert!(study.failures()[0].1.message.contains("told of no GPU"), "{:?}", study.failures());
}

#[test]
fn without_repeating_itself_the_program_is_started_for_every_look() {
    for trouble in ["no_lms", "ends"] {
        let study = study("probes = { gpu = { interval = \"50ms\" } }");
        driver(&study, trouble, "3");
        let (folder, record) = exec(&study);
        assert_eq!(record.probes["gpu"], "ok");
        let sampling = &record.sampling["gpu"];
        assert!(sampling.source.contains("one program per look"), "{sampling:?}");
        let ended =
            sampling.notes.iter().any(|note| note.contains("`nvidia-smi -lms` ended after"));
        assert!(ended, "{sampling:?}");
        assert!(gpu_rows(&folder).len() >= 8, "{:?}", gpu_rows(&folder));
        assert!(record.metrics["gpu_energy_j"].is_some());
        let refused = sampling.notes.iter().any(|note| note.contains("is not recognized"));
        assert_eq!(refused, trouble == "no_lms", "{sampling:?}");
    }
}

#[test]
fn an_older_program_is_asked_for_what_it_knows() {
    let study = study("probes = { gpu = true }");
    driver(&study, "old", "");
    let (folder, _) = exec(&study);
    let row = &gpu_rows(&folder)[0];
    assert_eq!((row.power_w, row.throttle_reasons.as_deref()), (Some(100.0), Some("sw_power_cap")));
}

#[test]
fn what_a_probe_missed_fails_the_run_and_stays_in_what_is_kept() {
    let long = "max_tokens = 260\ntimeout = \"9s\"";
    let experiment = "probes = { gpu = true }";
    for troubles in [&[("ends", "2"), ("gone", "")][..], &[("hangs", "2")]] {
        let study = study(experiment);
        study.edit(&Manifest { defaults: long, pacing: PACING, experiment, ..Manifest::default() });
        for (name, text) in troubles {
            driver(&study, name, text);
        }
        let started = Instant::now();
        let (code, said) = exec_with(&study, &smi(&study));
        assert_eq!(code, Some(3), "{said}");
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
        let (kept, failure) = &study.failures()[0];
        assert_eq!(failure.cause, "probe");
        assert!(failure.message.contains("gpu_metrics.csv") && failure.message.contains("1000 ms"));
        assert_eq!(failure.message.contains("GPU is lost"), troubles.len() == 2, "{failure:?}");
        assert!(!gpu_rows(kept).is_empty(), "memory at the failure is told by the last row");
        assert_eq!(failure.calls.len(), 1);
    }
}

#[test]
fn one_gpu_that_is_lost_is_noticed_and_named() {
    let experiment = "probes = { gpu = true }";
    for (trouble, reason) in [("vanishes", "its rows ended"), ("loses", "GPU is lost")] {
        let study = study(experiment);
        let long = "max_tokens = 200\ntimeout = \"9s\"";
        study.edit(&Manifest { defaults: long, pacing: PACING, experiment, ..Manifest::default() });
        driver(&study, "gpus", "2");
        driver(&study, trouble, "3");
        let (code, said) = exec_with(&study, &smi(&study));
        assert_eq!(code, Some(3), "{said}");
        let (kept, failure) = &study.failures()[0];
        let expected = "of GPU 1: NVIDIA H200 (GPU-00000001-";
        assert!(failure.message.contains(expected), "{failure:?}");
        assert!(failure.message.ends_with(reason), "{failure:?}");
        let rows = gpu_rows(kept);
        let of = |gpu| rows.iter().filter(|row| row.gpu == gpu).count();
        assert!(of(1) == 3 && of(0) > 10, "{} {}", of(0), of(1));
    }
}

#[test]
fn without_a_driver_the_run_counts_and_says_so() {
    let study = study("probes = { gpu = true, host = true }");
    let (code, said) = exec_with(&study, std::path::Path::new("/no/such/nvidia-smi"));
    assert_eq!(code, Some(0), "{said}");
    let (folder, record) = run(&study);
    let outcome = &record.probes["gpu"];
    assert!(outcome.starts_with("unavailable: nvidia-smi (/no/such/nvidia-smi)"), "{outcome}");
    assert!(!folder.join(gpu::METRICS_FILE).exists());
    assert!(!record.sampling.contains_key("gpu"));
    for metric in ["gpu_power_w", "joules_per_token", "redline_percent", "gpu_memory_peak_mb"] {
        assert_eq!(record.metrics[metric], None);
    }
    assert_eq!(record.probes["host"], "ok", "everything else works");
    let said = study.expect(0, &["report"]);
    let report = fs::read_to_string(study.layout().root().join("report/demo.md")).unwrap();
    assert!(report.contains("unavailable: nvidia-smi"), "{said}\n{report}");
}

#[test]
fn a_failure_keeps_what_the_gpus_held_then_without_the_probe_too() {
    let study = study("");
    let pacing = r#"ttft = "5ms", rate = "1000 tok/s", faults = [{ status = 500 }]"#;
    study.edit(&Manifest { pacing, ..Manifest::default() });
    let failure = |smi: &std::path::Path| {
        let (code, said) = exec_with(&study, smi);
        assert_eq!(code, Some(3), "{said}");
        study.failures().pop().unwrap()
    };
    let (_, seen) = failure(&smi(&study));
    let [gpu] = seen.gpus.as_deref().unwrap() else { panic!("{seen:?}") };
    // 143771 MiB in all, 141000 MiB free.
    assert!((gpu.used_mb.unwrap() - 2771.0 * 1.048_576).abs() < 0.01, "{gpu:?}");
    assert_eq!(seen.gpu_memory_peak_mb, None, "there was no probe");
    // Unknown is null, and is written.
    let (kept, unseen) = failure(std::path::Path::new("/no/such/nvidia-smi"));
    assert_eq!(unseen.gpus, None);
    let text = fs::read_to_string(kept.join("failure.json")).unwrap();
    assert!(text.contains("\"gpus\": null"), "{text}");
    study.expect(0, &["report", "--partial"]);
    let report = fs::read_to_string(study.layout().root().join("report/demo.md")).unwrap();
    assert!(report.contains("GPU 0: 2.9 of 150.8 GB used"), "{report}");
}

#[test]
fn a_required_gpu_that_is_missing_fails_before_any_call() {
    let study = study("probes = { gpu = { required = true } }");
    driver(&study, "driverless", "");
    let (code, said) = exec_with(&study, &smi(&study));
    assert_eq!(code, Some(5), "{said}");
    // As it is wrapped for people.
    let said = said.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ");
    assert!(said.contains("communicate with the NVIDIA driver"), "{said}");
    assert!(study.failures().is_empty() && study.sealed().is_empty());
}

#[test]
#[cfg(target_os = "linux")]
fn a_run_tells_cpu_and_memory_of_the_machine_the_agent_and_the_executor() {
    // A warm-up, so that rows lie before the measured calls however late the first one comes.
    let study = study("probes = { host = { interval = \"20ms\" } }\nwarmup = 1");
    let (folder, record) = exec(&study);
    assert_eq!(record.probes["host"], "ok");
    let rows = host_rows(&folder);
    assert!(rows.len() > 20, "{}", rows.len());
    let agent: Vec<&HostSample> = rows.iter().filter(|row| row.agent_cpu_s.is_some()).collect();
    assert!(agent.iter().any(|row| row.agent_processes == Some(1)), "{agent:?}");
    assert!(agent.iter().all(|row| row.agent_processes <= Some(1)), "{agent:?}");
    assert!(agent.windows(2).all(|pair| pair[0].agent_cpu_s <= pair[1].agent_cpu_s));
    for name in ["agent_cpu_percent", "agent_rss_peak_mb", "runner_cpu_percent"] {
        assert!(metric(&record, name).is_finite(), "{name}");
    }
    assert!((0.0..=100.0).contains(&metric(&record, "host_cpu_percent")));
    assert!(metric(&record, "host_memory_peak_mb") > 1.0);
    assert_eq!(record.metrics["server_cpu_percent"], None);
    let sampling = &record.sampling["host"];
    assert!(sampling.unavailable["server"].contains("is part of the executor"), "{sampling:?}");
    assert!(sampling.pace.late_ms.is_some() && sampling.cpu_s.is_some());
}

#[test]
#[cfg(target_os = "linux")]
fn the_server_behind_a_local_endpoint_is_found_by_its_port() {
    let mut server = Command::new(RUNNER)
        .args(["simulate", "--port", "0", "--rate", "100 tok/s"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port: u16 = line
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .find(|port| *port > 1024)
        .unwrap_or_else(|| panic!("{line}"));
    let study = study("probes = { host = true }");
    let text = fs::read_to_string(study.manifest()).unwrap();
    let address = format!("a = {{ ollama = \"http://localhost:{port}\" }}");
    let text: Vec<&str> =
        text.lines().map(|own| if own.starts_with("a = {") { &address } else { own }).collect();
    let text = text.join("\n").replace(r#"model = ["m"]"#, r#"model = ["simulated"]"#);
    fs::write(study.manifest(), text).unwrap();
    let (_, record) = exec(&study);
    let watched = &record.sampling["host"].watched;
    let expected = format!("server of `a`: runner (process {})", server.id());
    assert!(watched.contains(&expected), "{watched:?}");
    assert!(metric(&record, "server_rss_peak_mb") > 1.0);
    assert!(metric(&record, "server_cpu_percent") >= 0.0);
    server.kill().unwrap();
    server.wait().unwrap();
}

/// What the burner uses.
const BURNT_S: f64 = 1.0;
const TAKEN: usize = 200_000_000;

/// No test: the process that [`what_a_process_burns_and_takes_is_seen_within_5_percent`] watches.
#[test]
#[cfg(target_os = "linux")]
#[ignore = "it is started by another test"]
fn burner() {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let resident = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kib = resident.split_whitespace().nth(1).unwrap();
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    // What it is without its work, so that only that is judged.
    println!("\nready {} {kib}", used.tv_sec * 1_000_000 + used.tv_nsec / 1000);
    std::io::stdin().read_line(&mut String::new()).unwrap();
    let began = agent::os::thread_cpu_ns().unwrap();
    let memory = vec![1_u8; TAKEN];
    let mut waste = 0_u64;
    while agent::os::thread_cpu_ns().unwrap() - began < 1_000_000_000 {
        waste = (0..10_000).fold(waste, |a, b| a ^ (a << 1).wrapping_add(b));
    }
    println!("burnt {waste} {}", memory[TAKEN / 2]);
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

#[test]
#[cfg(target_os = "linux")]
fn what_a_process_burns_and_takes_is_seen_within_5_percent() {
    // As a child of what is watched.
    let mut shell = Command::new("sh")
        .args(["-c", "\"$0\" --exact burner --ignored --nocapture; exit 0"])
        .arg(std::env::current_exe().unwrap())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = shell.stdin.take().unwrap();
    let mut lines = BufReader::new(shell.stdout.take().unwrap()).lines().map(Result::unwrap);
    let recorder = host::record(Duration::from_millis(100), &[]).unwrap();
    let ready = lines.find(|line| line.starts_with("ready")).unwrap();
    let own: Vec<f64> = ready.split(' ').skip(1).map(|number| number.parse().unwrap()).collect();
    recorder.watch_agent(shell.id());
    stdin.write_all(b"\n").unwrap();
    assert!(lines.any(|line| line.starts_with("burnt")));
    // The last look is taken while it still lives.
    let recording = recorder.finish();
    stdin.write_all(b"\n").unwrap();
    shell.wait().unwrap();

    let rows = &recording.samples;
    let seen = |value: fn(&HostSample) -> Option<f64>| -> Vec<f64> {
        rows.iter().filter_map(value).collect()
    };
    let (cpu_s, rss_mb) = (seen(|row| row.agent_cpu_s), seen(|row| row.agent_rss_mb));
    // The shell itself is small beside it. CPU time is the same however busy the machine is.
    let burnt_s = cpu_s.last().unwrap() - own[0] / 1e6;
    let taken_mb = rss_mb.last().unwrap() - own[1] * 1024.0 / 1e6;
    eprintln!("seen: {burnt_s:.3} s and {taken_mb:.1} MB; {:?}", recording.sampling.pace);
    assert!((burnt_s / BURNT_S - 1.0).abs() < 0.05, "{burnt_s} s");
    assert!((taken_mb * 1e6 / TAKEN as f64 - 1.0).abs() < 0.05, "{taken_mb} MB");
    assert_eq!(rows.last().unwrap().agent_processes, Some(2), "the shell and its child");
}
