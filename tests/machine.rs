//! What other processes take of the machine during a run: real processes that work beside it, in it and for
//! it, by their own counts.
#![cfg(target_os = "linux")]

mod study;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use runner::store::Store;
use runner::store::record::{MachineTime, RunRecord};

use study::{Manifest, RUNNER, Study};

/// A process that ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn burner() -> Process {
    Process(Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap())
}

/// A study of one command, `sh work.sh {out}`.
fn commanded(script: &str) -> Study {
    let study = Study::new(&Manifest::default());
    let text = "schema = 1\nname = \"demo\"\n[defaults]\nrepeats = 1\ntimeout = \"20s\"\n\
                [experiment.c]\ncommand = [\"sh\", \"{study}/work.sh\", \"{out}\"]\n";
    fs::write(study.manifest(), text).unwrap();
    fs::write(study.folder.path().join("work.sh"), script).unwrap();
    study
}

/// Executes, holds the metrics against the stored record, and returns the only run with its folder.
fn made(study: &Study) -> (RunRecord, std::path::PathBuf) {
    study.expect(0, &["exec"]);
    study.expect(0, &["recompute", "--check"]);
    let store = Store::open(&study.results, "demo").unwrap();
    let cells = store.cells();
    assert_eq!(cells.len(), 1, "{cells:?}");
    let record = store.runs(cells[0])[&1].clone();
    (record, store.folder(cells[0], 1).unwrap().to_owned())
}

fn machine(record: &RunRecord) -> &MachineTime {
    record.machine.as_ref().unwrap()
}

/// CPU seconds of a process that its `/proc/<pid>/stat` told; the children that it waited for included.
fn cpu_s(stat: &Path) -> f64 {
    let stat = fs::read_to_string(stat).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11..15].iter().map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / 100.0
}

#[test]
fn a_process_beside_a_command_is_among_the_others() {
    let other = burner();
    let stat = format!("/proc/{}/stat", other.0.id());
    let study = commanded(&format!("cat {stat} > $1/a; sleep 1.5; cat {stat} > $1/b"));
    let (record, folder) = made(&study);
    let took_s = cpu_s(&folder.join("out/b")) - cpu_s(&folder.join("out/a"));
    let machine = machine(&record);
    // However busy the machine is otherwise, what the other process took is in it.
    let others_s = record.metrics["others_cpu_percent"].unwrap() / 100.0 * machine.cores_s;
    assert!(took_s > 0.1 && others_s > 0.8 * took_s, "{others_s} of {took_s} in {machine:?}");
    assert!(machine.agent_s < 0.2 * took_s, "{machine:?}");
    assert!(machine.window_s >= 1.5 && machine.cores_s >= 0.9 * machine.window_s, "{machine:?}");
}

#[test]
fn what_a_command_starts_is_its_own_also_if_it_does_not_wait_for_it() {
    // The first is waited for; the second is left behind.
    let script = r"
        timeout 0.7 sh -c 'while :; do :; done'
        sh -c 'while :; do :; done' & left=$!
        sleep 0.7; cat /proc/$$/stat > $1/own; cat /proc/$left/stat > $1/left
    ";
    let study = commanded(script);
    let (record, folder) = made(&study);
    let (own_s, left_s) = (cpu_s(&folder.join("out/own")), cpu_s(&folder.join("out/left")));
    let machine = machine(&record);
    assert!(own_s > 0.1 && left_s > 0.1, "{own_s} {left_s}");
    assert!(machine.agent_s > 0.9 * (own_s + left_s), "{own_s} + {left_s} in {machine:?}");
    assert!(record.process.cpu_s.unwrap() < own_s + 0.5 * left_s, "{:?}", record.process);
    let others_s = record.metrics["others_cpu_percent"].unwrap() / 100.0 * machine.cores_s;
    assert!(others_s < machine.busy_s - 0.9 * (own_s + left_s) + 0.1, "{others_s}: {machine:?}");
}

#[test]
fn a_run_too_short_for_the_counters_has_no_share() {
    let (record, _) = made(&commanded("exit 0"));
    // A machine of many cores counts enough of it even then.
    let short = machine(&record).cores_s < 1.0;
    assert_eq!(record.metrics["others_cpu_percent"].is_none(), short, "{record:?}");
}

/// A paced endpoint in a process of its own, started by this program's file under `name`.
fn served(program: &Path) -> (Process, String) {
    serving(Command::new(program))
}

fn serving(mut command: Command) -> (Process, String) {
    command.args(["simulate", "--rate", "2000 tok/s", "--ttft", "600ms"]);
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it can be started");
    let mut url = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
    (Process(child), url.trim().to_owned())
}

fn calling(url: &str) -> Study {
    let study = Study::new(&Manifest { defaults: "max_tokens = 1000", ..Manifest::default() });
    let text = fs::read_to_string(study.manifest()).unwrap();
    let lines = text.lines().map(|line| {
        if line.starts_with("a = {") {
            format!("a = {{ ollama = \"{url}\" }}")
        } else {
            line.to_owned()
        }
    });
    let text = lines.collect::<Vec<_>>().join("\n").replace("[\"m\"]", "[\"simulated\"]");
    fs::write(study.manifest(), text).unwrap();
    study
}

#[test]
fn a_server_of_the_study_on_this_machine_is_none_of_the_others() {
    let (_server, url) = served(Path::new(RUNNER));
    let (record, _) = made(&calling(&url));
    let machine = machine(&record);
    assert_eq!(
        (machine.servers_seen.as_slice(), machine.servers_unseen.len()),
        (&["a".to_owned()][..], 0)
    );
    assert!(machine.servers_s > 0.0, "{machine:?}");
}

#[test]
fn a_server_whose_processes_are_not_seen_is_said_to_be_among_the_others() {
    let folder = tempfile::tempdir().unwrap();
    // It would forward to a process in a container.
    let program = folder.path().join("docker-proxy");
    fs::copy(RUNNER, &program).unwrap();
    let (_server, url) = served(&program);
    let study = calling(&url);
    let (record, _) = made(&study);
    let machine = machine(&record);
    assert_eq!(
        (machine.servers_unseen.as_slice(), machine.servers_seen.len()),
        (&["a".to_owned()][..], 0)
    );
    assert_eq!(machine.servers_s.to_bits(), 0);
    study.expect(0, &["report"]);
    let report = fs::read_to_string(study.layout().root().join("report/demo.md")).unwrap();
    let said = "In 1 runs the study's own server is among them";
    assert!(record.metrics["others_cpu_percent"].is_none() || report.contains(said), "{report}");
}

#[test]
fn servers_that_share_a_socket_with_their_children_are_counted_once() {
    // As servers with several workers do.
    let script = "import os, socket, sys, time\n\
                  s = socket.create_server(('127.0.0.1', 0))\n\
                  if os.fork() == 0: os.fork()\n\
                  os.write(1, b'%d\\n' % s.getsockname()[1])\n\
                  time.sleep(60)\n";
    let mut child = Command::new("python3")
        .args(["-c", script])
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is there");
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut ports = Vec::new();
    for _ in 0..3 {
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        ports.push(line.trim().parse::<u16>().unwrap());
    }
    let server = Process(child);
    assert_eq!(runner::os::host::listeners(ports[0]).unwrap().len(), 3);
    assert_eq!(runner::os::host::servers_on(ports[0]).unwrap(), [server.0.id()]);
    for listener in runner::os::host::listeners(ports[0]).unwrap() {
        let _ = Command::new("kill").arg(listener.pid.to_string()).status();
    }
}

#[test]
fn a_server_under_an_account_of_services_is_told_by_the_account() {
    use std::os::unix::fs::PermissionsExt as _;
    // Only root may start processes of others; for root alone nothing is hidden.
    let may = Command::new("setpriv").args(["--reuid=998", "--clear-groups", "id", "-u"]).output();
    if !may.is_ok_and(|output| output.stdout == b"998\n") {
        eprintln!("skipped: not root, or no setpriv");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let program = folder.path().join("runner");
    fs::copy(RUNNER, &program).unwrap();
    let under = |account: &str| {
        let mut command = Command::new("setpriv");
        command.args([&format!("--reuid={account}"), "--clear-groups"]).arg(&program);
        command.env("HOME", folder.path());
        command
    };
    let (_server, url) = serving(under("998"));
    let study = calling(&url);
    fs::copy(study.manifest(), folder.path().join("demo.toml")).unwrap();
    let mut exec = under("1000");
    exec.arg("exec").arg(folder.path().join("demo.toml"));
    let output = exec.arg("--results").arg(folder.path().join("results")).output().unwrap();
    assert!(output.status.success(), "{}", study::text(&output));
    let store = Store::open(&folder.path().join("results"), "demo").unwrap();
    let machine = machine(&store.runs(store.cells()[0])[&1]).clone();
    assert_eq!(machine.servers_seen, ["a"], "{machine:?}");
    assert!(machine.servers_s > 0.0, "{machine:?}");
}
