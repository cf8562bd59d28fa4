//! Command experiments: real programs, their files, their failures.

mod study;

use std::fs;
use std::time::{Duration, Instant};

use runner::execute::{ExecEvent, Limits};
use runner::os::process;
use runner::store::Store;
use runner::store::record::RunRecord;

use study::{Manifest, Study, files};

/// Short, so that hanging takes no time.
fn limits() -> Limits {
    Limits { grace: Duration::from_millis(200), log_bytes: 100_000, ..Limits::default() }
}

/// A study whose only experiment runs `sh work.sh` with a script; `$1` is `{out}`.
fn scripted(script: &str, further: &str) -> Study {
    let command = r#"command = ["sh", "{study}/work.sh", "{out}"]"#;
    let study = Study::new(&Manifest::default());
    let text = format!(
        "schema = 1\nname = \"demo\"\n[defaults]\nrepeats = 1\ntimeout = \"10s\"\n\
         [experiment.c]\n{command}\n{further}\n"
    );
    fs::write(study.manifest(), text).unwrap();
    fs::write(study.folder.path().join("work.sh"), script).unwrap();
    study
}

fn only_run(study: &Study) -> (RunRecord, std::path::PathBuf) {
    let store = Store::open(&study.results, "demo").unwrap();
    let cells = store.cells();
    assert_eq!(cells.len(), 1, "{cells:?}");
    let record = store.runs(cells[0])[&1].clone();
    (record, store.folder(cells[0], 1).unwrap().to_owned())
}

#[track_caller]
fn fails(study: &Study, cause: &str, messages: &[&str]) -> Vec<ExecEvent> {
    let started = Instant::now();
    let (summary, events) = study.execute(limits());
    let summary = summary.unwrap();
    assert_eq!((summary.made, summary.failed), (0, 1), "{events:?}");
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    let failures = study.failures();
    assert_eq!(failures.len(), 1);
    let failure = &failures[0].1;
    assert_eq!(failure.cause, cause, "{}", failure.message);
    for message in messages {
        assert!(failure.message.contains(message), "{}", failure.message);
    }
    assert!(study.sealed().is_empty() && study.layout().partials().is_empty());
    events
}

#[test]
fn a_command_is_measured_and_its_figures_are_those_of_its_files() {
    let script = r#"
        echo "says $2 with $3, sees ${SECRET-nothing}"; echo oops >&2
        printf '{"rate": {"tok_s": 12.5}, "unknown": null}' > "$1/summary.json"
        printf 'ms,name\n1,a\n3,b\n2,c\n' > "$1/rows.csv"
    "#;
    let study = scripted(script, "");
    let text = r#"
        schema = 1
        name = "demo"
        [experiment.c]
        repeats = 2
        command = ["sh", "work.sh", "{out}", "{model|slug}", "{n}"]
        outputs = ["summary.json"]
        matrix = { model = ["a:b"], n = [1, 2.5] }
        [experiment.c.metric]
        rate = { from = "summary.json#/rate/tok_s", unit = "tok/s", better = "higher" }
        nothing = { from = "summary.json#/unknown" }
        p50 = { from = "rows.csv", column = "ms", stat = "median", unit = "ms", better = "lower" }
        [experiment.c.hypothesis.fast]
        claim = "It is fast"
        threshold = { metric = "rate", stat = "mean", above = 10 }
    "#;
    fs::write(study.manifest(), text).unwrap();
    let output = study.command(&["exec"]).env("SECRET", "geheim").output().unwrap();
    assert!(output.status.success(), "{}", study::text(&output));
    study.expect(0, &["verify"]);
    assert!(study.expect(0, &["exec"]).contains("nothing to do"));

    let store = Store::open(&study.results, "demo").unwrap();
    assert_eq!(study.sealed().len(), 4);
    for cell in store.cells() {
        for record in store.runs(cell).values() {
            assert_eq!(record.metrics["rate"], Some(12.5));
            assert_eq!(record.metrics["nothing"], None);
            assert_eq!(record.metrics["p50"], Some(2.0));
            assert!(record.metrics["process_wall_ms"].unwrap() > 0.1);
            assert!(record.metrics["cpu_s"].is_some());
            let command = record.command.as_ref().unwrap();
            assert_eq!(command.words[..4], ["sh", "work.sh", "{out}", "a_b"]);
            assert!(command.env.contains(&"PATH".to_owned()));
            assert_eq!((command.stderr.bytes, command.stderr.kept), (5, 5));
            assert_eq!(record.evidence.agent.runtime, "command");
            assert!(record.evidence.agent.digest.is_some());
            let said =
                fs::read_to_string(store.folder(cell, record.repeat).unwrap().join("stdout.txt"))
                    .unwrap();
            let n = &command.words[4];
            assert_eq!(said, format!("says a_b with {n}, sees nothing\n"));
        }
    }
    let table = study.expect(0, &["export"]);
    let header = table.lines().next().unwrap();
    assert!(header.contains(",rate,") && header.contains(",p50") && table.contains(",12.5,"));
    study.expect(0, &["report"]);
    let report = fs::read_to_string(study.layout().root().join("report/demo.md")).unwrap();
    assert!(report.contains("`rate`") && report.contains("tok/s"), "{report}");
}

#[test]
fn a_metric_that_is_declared_later_is_known_of_earlier_runs() {
    let study = scripted("printf '{\"v\": 3}' > $1/s.json", "outputs = [\"s.json\"]");
    study.expect(0, &["exec"]);
    let text = fs::read_to_string(study.manifest()).unwrap();
    let text = format!("{text}metric.v = {{ from = \"s.json#/v\" }}\n");
    fs::write(study.manifest(), text).unwrap();
    assert!(study.expect(0, &["exec"]).contains("nothing to do"));
    let table = study.expect(0, &["export"]);
    assert!(table.lines().next().unwrap().ends_with(",v") && table.contains(",3\n"), "{table}");
}

/// A level is not what a number means but what was written: 3.10 may be a version.
#[test]
fn a_level_gets_into_the_command_as_it_is_written() {
    let study = scripted("printf %s \"$2\"", "");
    let text = r#"
        schema = 1
        name = "demo"
        [experiment.c]
        repeats = 1
        command = ["sh", "work.sh", "{out}", "{v}", "{f}"]
        fixed = { f = 2.50 }
        matrix = { v = [3.10, 1.0, 1e-5, 1e21, 0x10, 1_000, 1_000.50, 0.5, "7.0"] }
        exclude = [{ v = 0.50 }]
        include = [{ v = 8.00 }]
    "#;
    fs::write(study.manifest(), text).unwrap();
    study.expect(0, &["exec"]);
    let store = Store::open(&study.results, "demo").unwrap();
    let mut words: Vec<String> = Vec::new();
    for cell in store.cells() {
        let command = store.runs(cell)[&1].command.clone().unwrap();
        assert_eq!(command.words[4], "2.50");
        words.push(command.words[3].clone());
    }
    words.sort();
    // Whole numbers have no other way of being written than TOML's own notations.
    assert_eq!(words, ["1.0", "1000", "1000.50", "16", "1e-5", "1e21", "3.10", "7.0", "8.00"]);
    // It is a number all the same; what is a text is selected by its words.
    for (filter, cells) in
        [("v=3.1", 1), ("v=3.10", 1), ("v=0.00001", 1), ("v=7.0", 1), ("v=7", 0), ("v~3.10", 1)]
    {
        let output = study.command(&["plan", "--json", "--filter", filter]).output().unwrap();
        assert_eq!(output.status.success(), cells == 1, "{filter}: {}", study::text(&output));
    }
    let table = study.expect(0, &["export"]);
    // Tables of figures hold the number.
    assert!(table.contains(",3.1,"), "{table}");

    let twice = text.replace("3.10,", "3.10, 3.1,");
    fs::write(study.manifest(), twice).unwrap();
    let refused = study.expect(4, &["plan"]);
    assert!(refused.contains("write \"3.10\" and \"3.1\""), "{refused}");
}

#[test]
fn what_is_asked_for_is_the_identity_and_nothing_else() {
    let id = |body: &str| {
        let study = scripted("", body);
        (study.plan().id(0).hex(), study)
    };
    let with = |words: &str, rest: &str| {
        let study = scripted("", "");
        let text = fs::read_to_string(study.manifest()).unwrap();
        let head = text.split("command =").next().unwrap();
        fs::write(study.manifest(), format!("{head}command = [{words}]\n{rest}\n")).unwrap();
        study.plan().id(0).hex()
    };
    let (plain, _) = id("");
    let same = [
        id("title = \"x\"\nrepeats = 3\ntimeout = \"1s\"\nenv = [\"PATH\"]\noutputs = [\"f\"]").0,
        id("metric.m = { from = \"s.json#/m\" }").0,
    ];
    assert!(same.iter().all(|id| *id == plain));
    // Axes by another name, and a level that is written into the words.
    let level = with("\"echo\", \"{word}\"", "matrix = { word = [\"a\"] }");
    assert_eq!(level, with("\"echo\", \"{text}\"", "matrix = { text = [\"a\"] }"));
    assert_eq!(level, with("\"echo\", \"a\"", ""));
    assert_ne!(level, with("\"echo\", \"b\"", ""));
    assert_ne!(level, with("\"echo\", \"a\"", "cwd = \"{out}\""));

    let (declared, study) = id("inputs = [\"work.sh\"]");
    assert_ne!(declared, plain);
    fs::write(study.folder.path().join("work.sh"), "true").unwrap();
    assert_ne!(study.plan().id(0).hex(), declared);
}

/// The study of another command line.
fn with_command(command: &str) -> Study {
    let study = scripted("", "");
    let text = fs::read_to_string(study.manifest()).unwrap();
    let old = text.lines().find(|line| line.starts_with("command")).unwrap();
    fs::write(study.manifest(), text.replace(old, command)).unwrap();
    study
}

#[test]
fn a_program_that_cannot_be_started_is_found_before_the_start() {
    for (command, reason) in [
        ("command = [\"no-such-program\"]", "no folder on PATH has it"),
        ("command = [\"./no-such-program\"]", "No such file: "),
        ("command = [\"{study}/work.sh\"]", "work.sh is not executable"),
        ("command = [\"sh\"]\ncwd = \"nowhere\"", "there is no folder"),
        ("command = [\"no-such-program\"]\nenv = []", "it does not see PATH"),
    ] {
        let study = with_command(command);
        for arguments in [["plan", "--preflight"], ["exec", "--json"]] {
            let said = study.expect(5, &arguments).replace(' ', "");
            let expected = "cannot start it (line 7 of the manifest)".replace(' ', "");
            assert!(said.contains(&expected), "{said}");
            assert!(said.contains(&reason.replace(' ', "")), "{reason}: {said}");
        }
        assert!(study.failures().is_empty());
        study.expect(3, &["exec", "--skip-preflight"]);
        assert_eq!(study.failures()[0].1.cause, "preflight");
    }
    // What the child finds without PATH is found here too, and what is known in the run only is left to it.
    for command in [
        "command = [\"sh\", \"-c\", \":\"]\nenv = []",
        "command = [\"sh\", \"-c\", \":\"]\ncwd = \"{out}\"",
    ] {
        with_command(command).expect(0, &["exec"]);
    }
}

#[cfg(unix)]
#[test]
fn a_program_that_shows_only_when_it_is_started_that_it_cannot_be() {
    use std::os::unix::fs::PermissionsExt as _;
    let study = with_command("command = [\"./work.sh\"]");
    let script = study.folder.path().join("work.sh");
    fs::write(&script, "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let said = study.expect(3, &["exec"]);
    assert!(said.contains("cannot start `./work.sh` (line 7 of the manifest)"), "{said}");
    assert_eq!(study.failures()[0].1.cause, "command");
}

#[test]
fn a_program_that_fails_is_told_by_its_last_words() {
    let study = scripted("echo fine >&2; echo 'no tensor cores' >&2; exit 7", "");
    fails(&study, "command", &["exit status: 7", "fine | no tensor cores"]);
    let kept = &study.failures()[0].0;
    assert_eq!(fs::read_to_string(kept.join("stderr.txt")).unwrap(), "fine\nno tensor cores\n");
}

#[test]
fn files_that_are_missing_are_named() {
    let further = "outputs = [\"summary.json\", \"data/rows.csv\"]";
    let study = scripted("echo 1 > $1/other.txt", further);
    fails(&study, "artifacts", &["summary.json, data/rows.csv", "it left other.txt there"]);
    let study = scripted("", "metric.m = { from = \"s.json#/m\" }");
    fails(&study, "artifacts", &["did not leave s.json", "it left nothing there"]);
    let study = scripted("echo '{\"n\": 1}' > $1/s.json", "metric.m = { from = \"s.json#/m\" }");
    fails(&study, "artifacts", &["metric `m`: s.json: there is nothing at `/m`"]);
    let study = scripted("mkfifo $1/pipe", "");
    fails(&study, "artifacts", &["\"out/pipe\", no regular file"]);
}

#[test]
fn a_flood_of_words_is_cut_and_said() {
    let study = scripted("head -c 3000000 /dev/zero | tr '\\0' 'a'; echo end >&2", "");
    let (summary, events) = study.execute(limits());
    assert_eq!(summary.unwrap().made, 1, "{events:?}");
    let (record, folder) = only_run(&study);
    let stdout = record.command.unwrap().stdout;
    assert_eq!((stdout.bytes, stdout.kept), (3_000_000, 100_000));
    assert_eq!(fs::metadata(folder.join("stdout.txt")).unwrap().len(), 100_000);
    let noted = |event: &ExecEvent| {
        matches!(event, ExecEvent::Note { message }
            if message.contains("the first 100000 bytes of standard output are kept of 3000000"))
    };
    assert!(events.iter().any(noted), "{events:?}");
}

#[test]
fn a_program_that_writes_gigabytes_is_stopped() {
    let study = scripted("yes > $1/flood", "max_output = \"1 MB\"");
    fails(&study, "artifacts", &["more than the 1000000 allowed", "`max_output`"]);
    let pid = study.last_agent();
    assert_eq!(process::start_mark(pid), None, "process {pid} still runs");
    let kept = files(&study.layout().root().join("failed"));
    let bytes: u64 = kept.iter().map(|file| fs::metadata(file).unwrap().len()).sum();
    assert!(bytes < 100_000, "{bytes} bytes are kept of what was too much: {kept:?}");
}

/// The process that a script named in a file of its own.
fn named(study: &Study) -> u32 {
    let path = study.folder.path().join("child");
    fs::read_to_string(path).unwrap().trim().parse().unwrap()
}

#[test]
fn a_timeout_ends_a_deaf_program_and_its_children() {
    let script = "trap '' TERM; sh -c 'trap \"\" TERM; sleep 60' & echo $! > child; sleep 60; wait";
    let study = scripted(script, "timeout = \"300ms\"");
    fails(&study, "timeout", &["still ran after 300ms", "everything it had started"]);
    for pid in [study.last_agent(), named(&study)] {
        assert_eq!(process::start_mark(pid), None, "process {pid} still runs");
    }
}

#[test]
fn after_a_timeout_a_child_gets_its_time_although_its_parent_is_gone_at_once() {
    // The shell ends by the signal; its child needs a moment to put its things in order.
    let child = "trap 'sleep 0.3; echo saved > saved; exit' TERM; echo up > up; sleep 60 & wait";
    let script = format!("sh -c '{}' & echo $! > child; wait", child.replace('\'', "'\\''"));
    let study = scripted(&script, "timeout = \"500ms\"");
    let limits = Limits { grace: Duration::from_secs(5), ..limits() };
    let began = Instant::now();
    let (summary, events) = study.execute(limits);
    assert_eq!(summary.unwrap().failed, 1, "{events:?}");
    // All were gone before the grace was over.
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    let folder = study.folder.path();
    assert!(folder.join("up").is_file(), "it had not begun when the time was over");
    assert_eq!(fs::read_to_string(folder.join("saved")).unwrap_or_default(), "saved\n");
    assert_eq!(process::start_mark(named(&study)), None);
}

#[test]
fn children_do_not_outlive_a_program_that_ended_well() {
    let study = scripted("sleep 60 & echo $! > child", "");
    let started = Instant::now();
    study.expect(0, &["exec"]);
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(process::start_mark(named(&study)), None);
}

#[test]
fn ctrl_c_twice_ends_it_with_its_children() {
    let study = scripted("sleep 60 & echo $! > child; wait", "timeout = \"60s\"");
    let mut exec = study.start(&[]);
    exec.wait_for("run_started");
    while fs::read_to_string(study.folder.path().join("child")).unwrap_or_default().is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    exec.signal("-INT");
    exec.wait_for("stopping");
    exec.signal("-INT");
    let (code, said) = exec.end();
    assert_eq!(code, Some(130), "{said}");
    for pid in [study.last_agent(), named(&study)] {
        assert_eq!(process::start_mark(pid), None, "process {pid} still runs");
    }
    assert_eq!(study.failures()[0].1.cause, "cancelled");
}

#[test]
fn an_input_that_changed_since_is_not_measured() {
    let study = scripted("echo new > data.txt", "inputs = [\"data.txt\"]\nrepeats = 2");
    fs::write(study.folder.path().join("data.txt"), "old").unwrap();
    let (summary, _) = study.execute(limits());
    let summary = summary.unwrap();
    assert_eq!((summary.made, summary.failed), (1, 1));
    let failure = &study.failures()[0].1;
    assert_eq!(failure.cause, "inputs");
    assert!(failure.message.contains("data.txt is not what"), "{}", failure.message);
}

/// A process that ends at once, before anybody looks at it; one whose child is the large one; and those that
/// are smaller than what the system counts to them of the program that started them.
#[test]
fn the_memory_of_short_commands_is_known_or_not_told() {
    let study = scripted("", "");
    let text = r#"
        schema = 1
        name = "demo"
        [experiment.c]
        repeats = 4
        command = ["sh", "{script}.sh"]
        matrix = { script = ["large", "child", "middle", "small"] }
    "#;
    fs::write(study.manifest(), text).unwrap();
    let large = "python3 -c 'x = bytearray(100_000_000); x[::4096] = b\"1\" * len(x[::4096])'";
    let folder = study.folder.path();
    fs::write(folder.join("large.sh"), format!("exec {large}")).unwrap();
    fs::write(folder.join("child.sh"), format!("{large}\ntrue")).unwrap();
    // Less than the executor ever had, and more than is copied of it.
    fs::write(folder.join("middle.sh"), "exec python3 -c 'x = 1'").unwrap();
    fs::write(folder.join("small.sh"), "exec true").unwrap();
    study.expect(0, &["exec"]);
    let store = Store::open(&study.results, "demo").unwrap();
    for cell in store.cells() {
        for record in store.runs(cell).values() {
            let peak = record.metrics["peak_rss_mb"];
            let script = record.command.as_ref().unwrap().words[1].as_str();
            let right = match script {
                "small.sh" => peak.is_none_or(|peak| (1.0..3.0).contains(&peak)),
                "middle.sh" => peak.is_some_and(|peak| (6.0..30.0).contains(&peak)),
                _ => peak.is_some_and(|peak| (100.0..140.0).contains(&peak)),
            };
            assert!(right, "{script}: {peak:?}");
        }
    }
}

#[test]
fn time_memory_and_cpu_are_those_of_the_process() {
    let script = "import sys, time\nblock = bytearray(150_000_000)\nend = time.process_time() + 0.5\n\
                  while time.process_time() < end: pass\ntime.sleep(0.3)\n";
    let study = scripted("", "probes = { host = { interval = \"20ms\" }, gpu = true }");
    let text = fs::read_to_string(study.manifest()).unwrap();
    let old = text.lines().find(|line| line.starts_with("command")).unwrap();
    fs::write(study.manifest(), text.replace(old, "command = [\"python3\", \"burn.py\"]")).unwrap();
    fs::write(study.folder.path().join("burn.py"), script).unwrap();
    study.expect(0, &["exec"]);
    let (record, _) = only_run(&study);
    let metric = |name: &str| record.metrics[name].unwrap();
    assert!((0.5..1.5).contains(&metric("cpu_s")), "{}", metric("cpu_s"));
    assert!((150.0..200.0).contains(&metric("peak_rss_mb")), "{}", metric("peak_rss_mb"));
    // What the host probe saw of it, from its start to its end.
    assert_eq!(record.probes["host"], "ok");
    assert!(metric("host_cpu_percent") > 10.0);
    let share = 100_000.0 * metric("cpu_s") / metric("process_wall_ms");
    assert!((metric("agent_cpu_percent") - share).abs() < 0.1, "{share}");
    assert!((150.0..200.0).contains(&metric("agent_rss_peak_mb")));
    assert!(record.probes.contains_key("gpu"));
    assert!(metric("process_wall_ms") >= 800.0, "{}", metric("process_wall_ms"));
}

/// Works for this much CPU time, and writes how much it and the children that it waited for took.
const BURN: &str = r#"
import json, os, subprocess, sys, time
out = sys.argv[1]
def burn(seconds):
    while time.process_time() < seconds: pass
def work(name, seconds):
    child = os.fork()
    if child == 0:
        while time.process_time() < seconds:
            stop = time.process_time() + 0.005
            while time.process_time() < stop: pass
            with open(f"{out}/{name}.tmp", "w") as file: file.write(str(time.process_time()))
            os.rename(f"{out}/{name}.tmp", f"{out}/{name}")
        os._exit(0)
    return child
def ended(name, seconds):
    try: return float(open(f"{out}/{name}").read()) >= seconds
    except OSError: return False
"#;

/// What a script measured of itself is what is said of it from outside.
fn share_of(script: &str) -> (RunRecord, std::path::PathBuf, String) {
    let study = scripted("", "probes = { host = { interval = \"20ms\" } }");
    let text = fs::read_to_string(study.manifest()).unwrap();
    let old = text.lines().find(|line| line.starts_with("command")).unwrap();
    let new = text.replace(old, "command = [\"python3\", \"burn.py\", \"{out}\"]");
    fs::write(study.manifest(), new).unwrap();
    let told = "\ntook = os.times()\ntotal = took.user + took.system + took.children_user + \
                took.children_system\nopen(f\"{out}/own\", \"w\").write(str(total))\n";
    let last = "sys.stdout.flush(); os._exit(0)\n";
    fs::write(study.folder.path().join("burn.py"), format!("{BURN}{script}{told}{last}")).unwrap();
    let said = study.expect(0, &["exec"]);
    let (record, folder) = only_run(&study);
    // The folder goes with the study.
    let out = tempfile::tempdir().unwrap().keep();
    for name in ["own", "left"] {
        let _ = fs::copy(folder.join("out").join(name), out.join(name));
    }
    (record, out, said)
}

#[test]
fn a_commands_share_of_a_core_is_what_all_its_processes_took() {
    for (what, script, least) in [
        ("one process", "burn(0.5)\ntime.sleep(0.4)", 0.5),
        (
            "children that it waits for",
            "work('a', 0.5); work('b', 0.5)\nos.wait(); os.wait()",
            0.98,
        ),
        ("a child that it leaves behind", "work('left', 30)\ntime.sleep(0.8)", 0.1),
        // Its parent ends before it, and it ends before the command.
        (
            "an orphan",
            "if (c := os.fork()) == 0:\n    left = work('left', 0.4); os._exit(0)\nos.wait()\n\
             while not ended('left', 0.4): time.sleep(0.02)",
            0.38,
        ),
        (
            "an orphan in a group of its own",
            "if (c := os.fork()) == 0:\n    os.setsid(); work('left', 0.4); os._exit(0)\nos.wait()\n\
             while not ended('left', 0.4): time.sleep(0.02)",
            0.38,
        ),
        (
            "a grandchild",
            "if (c := os.fork()) == 0:\n    work('a', 0.4); os.wait(); os._exit(0)\nos.wait()",
            0.38,
        ),
    ] {
        let (record, out, said) = share_of(script);
        let read = |name: &str| -> f64 {
            fs::read_to_string(out.join(name)).map_or(0.0, |text| text.parse().unwrap())
        };
        let took_s = read("own") + read("left");
        let expected = 100_000.0 * took_s / record.metrics["process_wall_ms"].unwrap();
        let share = record.metrics["agent_cpu_percent"].unwrap_or_else(|| panic!("{what}: {said}"));
        // What it still did after its own last look, and steps of 10 ms.
        let off = 100_000.0 * 0.06 / record.metrics["process_wall_ms"].unwrap();
        assert!((share - expected).abs() < off, "{what}: {share} % of {expected} %");
        assert!(took_s > least, "{what}: {took_s} s");
        fs::remove_dir_all(out).unwrap();
    }
}

#[test]
fn an_orphan_that_has_ended_is_gone_while_its_command_still_runs() {
    // As a script that stops a server and waits until its number is nobody's.
    let script = r#"
read, write = os.pipe()
if (c := os.fork()) == 0:
    if (c := os.fork()) == 0:
        os.setsid(); os.write(write, str(os.getpid()).encode())
        burn(0.2); os._exit(0)
    os._exit(0)
os.waitpid(c, 0)
orphan, until = int(os.read(read, 20)), time.monotonic() + 5
try:
    while time.monotonic() < until: os.kill(orphan, 0); time.sleep(0.01)
except ProcessLookupError: open(f"{out}/left", "w").write("0.2")"#;
    let (record, out, said) = share_of(script);
    let left = fs::read_to_string(out.join("left")).unwrap_or_else(|_| panic!("it stayed: {said}"));
    assert_eq!(left, "0.2");
    // And what it took is counted all the same.
    assert!(record.process.left_cpu_s.unwrap() >= 0.19, "{:?}", record.process);
    fs::remove_dir_all(out).unwrap();
}

#[test]
fn what_an_orphan_took_is_in_no_later_run() {
    // The first run leaves a process that works on, once that is in a session of its own: before, it would end with
    // the command's group. The second waits until it has ended.
    let script = r#"
done="$(dirname "$0")/done"
case "$1" in
*/.1.partial/*)
    setsid sh -c ': > "$0.begun"; i=0; while [ $i -lt 800000 ]; do i=$((i+1)); done; : > "$0"' \
        "$done" > /dev/null 2>&1 &
    until [ -e "$done.begun" ]; do sleep 0.01; done ;;
*) until [ -e "$done" ]; do sleep 0.1; done; sleep 0.5 ;;
esac"#;
    let study = scripted(script, "repeats = 2");
    study.expect(0, &["exec"]);
    let store = Store::open(&study.results, "demo").unwrap();
    let second = &store.runs(store.cells()[0])[&2];
    let agent_s = second.machine.as_ref().unwrap().agent_s;
    assert!(agent_s < 0.25, "{agent_s} s");
}

#[test]
fn what_profiles_a_command_is_no_part_of_its_share() {
    let study = scripted("", "probes = { host = true, flamegraph = true }");
    let text = fs::read_to_string(study.manifest()).unwrap();
    let old = text.lines().find(|line| line.starts_with("command")).unwrap();
    fs::write(study.manifest(), text.replace(old, "command = [\"sleep\", \"1\"]")).unwrap();
    // Works until it is asked to end.
    let py_spy = study.folder.path().join("py-spy");
    fs::write(&py_spy, "#!/bin/sh\ntrap 'exit 0' INT\nwhile :; do :; done\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&py_spy, mode).unwrap();
    let output = study.command(&["exec"]).env("RUNNER_PYSPY", &py_spy).output().unwrap();
    assert!(output.status.success(), "{}", study::text(&output));
    let (record, _) = only_run(&study);
    let share = record.metrics["agent_cpu_percent"].unwrap();
    assert!(share < 5.0, "{share}");
}

#[test]
fn a_share_that_nobody_counted_is_unknown_with_the_reason() {
    // Who ignores the ends of its children has the system forget what they took.
    let script = "import signal\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\nc = work('a', 0.6)\n\
                  while os.path.exists(f'/proc/{c}'): time.sleep(0.02)";
    let (record, out, said) = share_of(script);
    assert_eq!(record.metrics["agent_cpu_percent"], None);
    assert!(said.contains("`agent_cpu_percent` is unknown: processes that the command"), "{said}");
    let notes = &record.sampling["host"].notes;
    assert!(notes.iter().any(|note| note.contains("without being waited for")), "{notes:?}");
    fs::remove_dir_all(out).unwrap();
}
