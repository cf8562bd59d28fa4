//! The GPU probe over NVML in whole runs. The library is a stand-in for the driver's, written in C
//! against NVIDIA's reference and loaded as the real one would be: two GPUs, of which the second hides
//! much, with a power that is a known wave of the machine's clock.
#![cfg(target_os = "linux")]

mod study;

use std::f64::consts::PI;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use formats::protocol::{AgentRecord, Window};
use runner::probe::gpu::{self, GpuProcess, GpuSample};
use runner::store::Store;
use runner::store::record::RunRecord;
use serde::de::DeserializeOwned;
use tempfile::TempDir;

use study::{Manifest, Study};

/// The stand-in, and one that lacks what came with later drivers.
static DRIVER: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/nvml/driver.c");
    for (name, more) in [("libnvidia-ml.so.1", "-DNEW"), ("old.so.1", "-DOLD")] {
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", more, "-o"])
            .arg(folder.path().join(name))
            .arg(&source)
            .arg("-lm")
            .status();
        assert!(built.unwrap().success());
    }
    folder
});

/// A call of this many chunks, 100 of them a second.
fn study(chunks: u32, experiment: &str) -> Study {
    Study::new(&Manifest {
        defaults: &format!("max_tokens = {chunks}\ntimeout = \"9s\""),
        pacing: r#"ttft = "20ms", rate = "100 tok/s""#,
        experiment,
        ..Manifest::default()
    })
}

fn driver() -> PathBuf {
    DRIVER.path().join("libnvidia-ml.so.1")
}

/// Runs `exec` with this library, which is told what goes wrong.
fn exec_with(study: &Study, library: &Path, troubles: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = study.command(&["exec"]);
    command.env("RUNNER_NVML_LIBRARY", library).env_remove("RUNNER_NVIDIA_SMI");
    let output = command.envs(troubles.iter().copied()).output().unwrap();
    (output.status.code(), study::text(&output))
}

#[track_caller]
fn exec(study: &Study, troubles: &[(&str, &str)]) -> (PathBuf, RunRecord, String) {
    let (code, said) = exec_with(study, &driver(), troubles);
    assert_eq!(code, Some(0), "{said} {:?}", study.failures());
    let (folder, record) = run(study);
    (folder, record, said)
}

fn run(study: &Study) -> (PathBuf, RunRecord) {
    let store = Store::open(&study.results, "demo").unwrap();
    let cell = store.cells().into_iter().next().expect("a run is sealed").to_owned();
    (store.folder(&cell, 1).unwrap().to_owned(), store.runs(&cell)[&1].clone())
}

fn table<T: DeserializeOwned>(path: &Path) -> Vec<T> {
    csv::Reader::from_path(path).unwrap().deserialize().map(Result::unwrap).collect()
}

fn rows(folder: &Path) -> Vec<GpuSample> {
    table(&folder.join(gpu::METRICS_FILE))
}

fn of(rows: &[GpuSample], gpu: u32) -> Vec<&GpuSample> {
    rows.iter().filter(|row| row.gpu == gpu).collect()
}

#[track_caller]
fn metric(record: &RunRecord, name: &str) -> f64 {
    record.metrics[name].unwrap_or_else(|| panic!("{name} is unknown"))
}

/// Mean and swing of the wave, watts, as the stand-in has it.
const WAVES: [(f64, f64); 2] = [(300.0, 200.0), (150.0, 100.0)];

fn power_w((mean, swing): (f64, f64), time_ns: u64) -> f64 {
    mean + swing * (PI * (time_ns as f64 / 1e9 % 2.0)).sin()
}

/// Joules in a window, by the wave's integral.
fn energy_j((mean, swing): (f64, f64), window: Window) -> f64 {
    let length_s = (window.end_ns - window.start_ns) as f64 / 1e9;
    let cosine = |time_ns: u64| (PI * (time_ns as f64 / 1e9 % 2.0)).cos();
    mean * length_s + swing / PI * (cosine(window.start_ns) - cosine(window.end_ns))
}

#[track_caller]
fn near(value: f64, expected: f64, percent: f64, what: &str) {
    let error = 100.0 * (value / expected - 1.0);
    eprintln!("{what}: {value:.2}, expected {expected:.2}: {error:+.2} %");
    assert!(error.abs() < percent, "{what}: {value}, expected {expected}");
}

/// The one call, and the idle control before it.
fn windows(folder: &Path) -> (Window, Window) {
    let text = fs::read_to_string(folder.join("agent.json")).unwrap();
    let record: AgentRecord = serde_json::from_str(&text).unwrap();
    let call = &record.calls[0];
    let start_ns = call.start_ns + call.server.load_ns.unwrap_or(0);
    (Window { start_ns, end_ns: call.end_ns }, record.idle.unwrap())
}

/// The record is as long as the run and kept its schedule as it says.
#[track_caller]
fn kept(record: &RunRecord, rows: &[&GpuSample], call: Window) {
    let pace = &record.sampling["gpu"].pace;
    eprintln!("{} rows of a GPU; {pace:?}", rows.len());
    let (first, last) = (rows[0].time_ns, rows[rows.len() - 1].time_ns);
    assert!(first < call.start_ns && call.end_ns < last);
    let ticks = (last - first) as f64 / 1e6 / pace.asked_ms;
    assert!((rows.len() as u64 + pace.missed) as f64 + 2.0 >= ticks, "{ticks} {pace:?}");
    let seen = &record.sampling["gpu"].gpus[0];
    assert_eq!((seen.from_ns, seen.until_ns), (Some(first), Some(last)));
    assert_eq!((seen.rows, seen.lost.as_ref()), (rows.len() as u64, None));
}

#[test]
fn energy_by_the_counter_and_by_the_integral_are_that_of_the_wave_at_100_ms() {
    let study = study(150, "probes = { gpu = { devices = [0] } }\ncontrols = [\"idle\"]");
    let (folder, record, _) = exec(&study, &[]);
    assert_eq!(record.sampling["gpu"].source, "NVML, driver 570.86.15");
    let all = rows(&folder);
    let (call, idle) = windows(&folder);
    kept(&record, &of(&all, 0), call);
    assert!(all.iter().all(|row| row.gpu == 0));
    let truth = energy_j(WAVES[0], call);
    let (counter, integral) =
        (metric(&record, "gpu_energy_counter_j"), metric(&record, "gpu_energy_integral_j"));
    near(counter, truth, 5.0, "active energy by the counter");
    near(integral, truth, 5.0, "active energy by the integral");
    near(counter, integral, 5.0, "counter against integral");
    let idle_s = (idle.end_ns - idle.start_ns) as f64 / 1e9;
    let idle_w = metric(&record, "gpu_idle_power_w");
    near(idle_w, energy_j(WAVES[0], idle) / idle_s, 5.0, "idle power");
    near(metric(&record, "joules_per_token"), truth / 150.0, 5.0, "joules per token");
}

#[test]
fn at_10_ms_every_field_has_its_unit_and_what_a_gpu_hides_is_said_and_never_0() {
    let experiment = "probes = { gpu = { interval = \"10ms\" } }\ncontrols = [\"idle\"]";
    let study = study(120, experiment);
    let (folder, record, _) = exec(&study, &[]);
    let all = rows(&folder);
    let (call, _) = windows(&folder);
    kept(&record, &of(&all, 0), call);
    for (gpu, wave) in (0..).zip(WAVES) {
        let own = of(&all, gpu);
        let off = |row: &&GpuSample| (row.power_w.unwrap() - power_w(wave, row.time_ns)).abs();
        let mut off: Vec<f64> = own.iter().map(off).collect();
        off.sort_by(f64::total_cmp);
        assert!(off[off.len() / 2] < 1.0, "watts of the moment of the row: {off:?}");
        assert_eq!(own[1].temperature_c, Some(61.0));
        assert_eq!((own[1].sm_clock_mhz, own[1].memory_clock_mhz), (Some(1980.0), Some(3201.0)));
        assert_eq!(own[1].memory_percent, Some(37.0));
    }
    let (first, second) = (of(&all, 0), of(&all, 1));
    assert_eq!((first[1].sm_percent, second[1].sm_percent), (Some(99.0), Some(0.0)));
    assert_eq!(first[1].memory_used_mb, Some(21_000.0));
    assert_eq!(first[1].throttle_reasons.as_deref(), Some("sw_power_cap"));
    assert_eq!(second[1].throttle_reasons.as_deref(), Some("0x8000"), "a reason without a name");
    let gained = first[first.len() - 1].energy_j.unwrap() - first[0].energy_j.unwrap();
    let (start_ns, end_ns) = (first[0].time_ns, first[first.len() - 1].time_ns);
    near(gained, energy_j(WAVES[0], Window { start_ns, end_ns }), 5.0, "joules of the counter");
    let pcie: Vec<_> = first.iter().filter_map(|row| row.pcie_rx_mb_per_s).collect();
    assert!(!pcie.is_empty() && pcie.iter().all(|rate| (rate - 1200.0).abs() < 1e-9), "{pcie:?}");
    near(metric(&record, "gpu_pcie_tx_peak_mb_per_s"), 340.0, 1e-6, "MB/s sent");

    for hidden in second {
        assert_eq!((hidden.energy_j, hidden.pcie_rx_mb_per_s), (None, None));
    }
    let unavailable = &record.sampling["gpu"].unavailable;
    let reason = "GPU 1: this GPU or its driver does not tell it";
    for column in ["energy_j", "pcie_rx_mb_per_s", "pcie_tx_mb_per_s"] {
        assert_eq!(unavailable[column], reason);
    }
    assert_eq!(unavailable["processes"], "GPU 1: the driver hides their memory");
    assert_eq!(unavailable.len(), 4);
    let notes = &record.sampling["gpu"].notes;
    let mean = "power of GPU 1 is the driver's mean";
    assert!(notes.iter().any(|note| note.contains(mean)), "{notes:?}");
    let processes: Vec<GpuProcess> = table(&folder.join(gpu::PROCESSES_FILE));
    assert!(processes.iter().all(|own| own.gpu == 0 && own.pid == 4242));
    near(processes[0].memory_used_mb, 20_000.0, 1e-6, "MB of a process");
    assert_eq!(processes[0].process.as_deref(), Some("/usr/bin/server"));

    assert_eq!(record.metrics["gpu_energy_counter_j"], None, "one GPU has no counter");
    let truth = energy_j(WAVES[0], call) + energy_j(WAVES[1], call);
    near(metric(&record, "gpu_energy_j"), truth, 5.0, "active energy of both");
    near(metric(&record, "gpu_memory_peak_mb"), 25_000.0, 1e-6, "MB of both");
    near(metric(&record, "redline_percent"), 100.0, 1e-6, "redline");
}

#[test]
fn a_gpu_that_falls_off_the_bus_fails_the_run_and_is_named() {
    let study = study(200, "probes = { gpu = true }");
    let (code, said) = exec_with(&study, &driver(), &[("DRIVER_LOST", "1:5")]);
    assert_eq!(code, Some(3), "{said}");
    let (kept, failure) = &study.failures()[0];
    assert!(failure.message.contains("5 rows of GPU 1: NVIDIA GB10 (GPU-1)"), "{failure:?}");
    assert!(failure.message.ends_with("the GPU is lost: it fell off the bus"), "{failure:?}");
    let rows = rows(kept);
    assert!(of(&rows, 1).len() == 5 && of(&rows, 0).len() > 10, "the other is seen to the end");
}

#[test]
fn a_gpu_that_is_lost_at_the_end_leaves_its_energy_unknown_and_the_report_says_which() {
    // Shorter than what a probe may miss.
    let study = study(60, "probes = { gpu = { devices = [1, 0] } }");
    let (_, record, said) = exec(&study, &[("DRIVER_LOST", "1:3")]);
    assert!(said.contains("GPU 1: NVIDIA GB10 (GPU-1) was not seen to the end"), "{said}");
    let seen = &record.sampling["gpu"].gpus;
    assert_eq!((seen[0].gpu, seen[0].rows), (1, 3));
    assert!(seen[0].lost.as_ref().unwrap().contains("fell off the bus"), "{seen:?}");
    assert!(seen[0].until_ns < seen[1].until_ns && seen[1].lost.is_none(), "{seen:?}");
    assert_eq!(record.metrics["gpu_energy_j"], None, "that of one is not that of both");
    study.expect(0, &["report"]);
    let report = fs::read_to_string(study.layout().root().join("report/demo.md")).unwrap();
    assert!(report.contains("Lost on the way"), "{report}");
    assert!(report.contains("GPU 1: NVIDIA GB10 (GPU-1) was not seen to the end"), "{report}");
}

#[test]
fn a_gpu_that_may_not_be_asked_does_not_hide_the_others() {
    let study = study(10, "probes = { gpu = { required = true } }");
    let closed = [("DRIVER_CLOSED", "0")];
    let (folder, record, _) = exec(&study, &closed);
    assert!(rows(&folder).iter().all(|row| row.gpu == 1));
    let notes = &record.sampling["gpu"].notes;
    let expected = "not watched: GPU 0: this user may not ask for it".to_owned();
    assert!(notes.contains(&expected), "{notes:?}");
    let mut doctor = Command::new(study::RUNNER);
    doctor.arg("doctor").env("RUNNER_NVML_LIBRARY", driver()).env_remove("RUNNER_NVIDIA_SMI");
    let said = study::text(&doctor.envs(closed).output().unwrap());
    let expected = "145.5 of 150.0 GB free, driver 570.86.15; GPU 0: this user may not ask for it";
    assert!(said.contains(expected), "{said}");
    let named = self::study(10, "probes = { gpu = { devices = [0], required = true } }");
    let (code, said) = exec_with(&named, &driver(), &closed);
    assert_eq!(code, Some(3), "{said}");
    assert!(named.failures()[0].1.message.contains("there is no GPU `0`"), "{said}");
}

#[test]
fn a_driver_that_takes_longer_than_the_interval_loses_ticks_and_says_so() {
    let study = study(40, "probes = { gpu = { interval = \"10ms\", devices = [0] } }");
    let (folder, record, _) = exec(&study, &[("DRIVER_CALL_US", "3000")]);
    let pace = &record.sampling["gpu"].pace;
    assert!(pace.missed > pace.ticks, "{pace:?}");
    let rows = rows(&folder);
    assert!(rows.iter().skip(1).all(|row| row.interval_ms > Some(20.0)), "never bunched");
}

#[test]
fn an_older_driver_says_what_it_lacks() {
    let study = study(10, "probes = { gpu = { devices = [0] } }");
    let (code, said) = exec_with(&study, &DRIVER.path().join("old.so.1"), &[]);
    assert_eq!(code, Some(0), "{said}");
    let (folder, record) = run(&study);
    assert!(rows(&folder).iter().all(|row| row.memory_used_mb.is_none() && row.power_w.is_some()));
    let unavailable = &record.sampling["gpu"].unavailable;
    for column in ["memory_used_mb", "processes"] {
        assert_eq!(unavailable[column], "this version of the driver does not tell it");
    }
    assert_eq!(record.metrics["gpu_memory_peak_mb"], None);
}

#[test]
fn a_library_that_cannot_be_used_is_unavailable_and_says_which_it_was() {
    let missing = PathBuf::from("/no/such/libnvidia-ml.so.1");
    let not_loaded = [("DRIVER_INIT", "9")];
    let cases: [(PathBuf, &[_], &str); 2] =
        [(missing, &[], "cannot open shared object"), (driver(), &not_loaded, "not loaded")];
    for (library, troubles, reason) in cases {
        let study = study(5, "probes = { gpu = true }");
        let (code, said) = exec_with(&study, &library, troubles);
        assert_eq!(code, Some(0), "{said}");
        let outcome = run(&study).1.probes["gpu"].clone();
        let expected = format!("unavailable: NVML ({})", library.display());
        assert!(outcome.starts_with(&expected) && outcome.contains(reason), "{outcome}");
    }
}
