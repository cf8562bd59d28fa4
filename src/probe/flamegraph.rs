//! The flamegraph probe: py-spy samples the agent's process from `ready` until `done`.
//!
//! The profiler is started in the process group of the agent, so that whatever ends the group ends
//! it too, even when the executor is gone. It must never hold the agent: it is asked to end when the
//! agent is done, and killed when it does not.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::stacks::Stacks;
use crate::os::{files, orphans, process};

/// The picture, in the run's folder.
pub const SVG_FILE: &str = "flamegraph.svg";
/// Functions by self time, one [`super::stacks::TopFunction`] per row.
pub const TOP_FILE: &str = "flamegraph_top.csv";
/// The sampled stacks as py-spy wrote them.
pub const STACKS_FILE: &str = "flamegraph_stacks.txt";
/// What py-spy said.
pub const LOG_FILE: &str = "flamegraph.log";

/// Why there is no flamegraph of a process that py-spy does not understand.
pub const NOT_PYTHON: &str = "py-spy profiles Python processes only";
const TICK: Duration = Duration::from_millis(1);

/// What to record.
#[derive(Debug, Clone)]
pub struct Settings {
    pub program: PathBuf,
    /// Samples per second.
    pub rate: u32,
    /// Also the processes that the agent's process starts.
    pub subprocesses: bool,
}

/// The profiler of one run.
#[derive(Debug)]
pub struct Recorder {
    settings: Settings,
    folder: PathBuf,
    state: State,
}

#[derive(Debug)]
enum State {
    Waiting,
    Recording {
        py_spy: Child,
        /// When it was asked to end.
        asked: Option<Instant>,
    },
    /// Why there are no stacks, if there are none.
    Over(Result<(), String>),
}

impl Recorder {
    /// Records into `folder`; nothing happens before [`Recorder::attach`].
    #[must_use]
    pub fn new(settings: Settings, folder: &Path) -> Self {
        Self { settings, folder: folder.to_owned(), state: State::Waiting }
    }

    /// Starts sampling the process, which leads a group; only the first time.
    pub fn attach(&mut self, pid: u32) {
        if matches!(self.state, State::Waiting) {
            self.state = match self.start(pid) {
                Ok(py_spy) => State::Recording { py_spy, asked: None },
                Err(error) => State::Over(Err(format!(
                    "py-spy ({}) does not start: {error}",
                    self.settings.program.display()
                ))),
            };
        }
    }

    fn start(&self, pid: u32) -> std::io::Result<Child> {
        let mut command = Command::new(&self.settings.program);
        command.args(["record", "--native", "--format", "raw"]);
        command.args(["--rate", &self.settings.rate.to_string(), "--pid", &pid.to_string()]);
        command.arg("--output").arg(self.folder.join(STACKS_FILE));
        if self.settings.subprocesses {
            command.arg("--subprocesses");
        }
        // py-spy would write through a link.
        let _ = fs::remove_file(self.folder.join(STACKS_FILE));
        let log = files::create(&self.folder.join(LOG_FILE))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        process::join_group(&mut command, pid);
        orphans::start(&mut command)
    }

    /// Asks py-spy to end and to write what it has; does not wait for it.
    pub fn detach(&mut self) {
        // One that failed before has its own reason.
        self.check(Duration::MAX);
        if let State::Recording { py_spy, asked: asked @ None } = &mut self.state {
            process::interrupt(py_spy);
            *asked = Some(Instant::now());
        }
    }

    /// Kills py-spy if it was asked to end longer than `grace` ago: while it holds the agent, the
    /// agent cannot end either.
    pub fn check(&mut self, grace: Duration) {
        let State::Recording { py_spy, asked } = &mut self.state else { return };
        let outcome = match py_spy.try_wait() {
            Ok(None) if asked.is_none_or(|asked| asked.elapsed() <= grace) => return,
            Ok(Some(status)) if status.success() => Ok(()),
            Ok(Some(_)) => {
                let log = files::read(&self.folder.join(LOG_FILE)).unwrap_or_default();
                Err(reason(&String::from_utf8_lossy(&log), asked.is_some()))
            }
            Ok(None) | Err(_) => {
                let _ = py_spy.kill();
                let _ = py_spy.wait();
                Err(format!("py-spy did not end {grace:?} after it was asked to, and was killed"))
            }
        };
        self.state = State::Over(outcome);
    }

    /// Waits for py-spy to end, `grace` at most. Afterwards it is gone.
    pub fn end(&mut self, grace: Duration) {
        self.detach();
        self.check(grace);
        while matches!(self.state, State::Recording { .. }) {
            thread::sleep(TICK);
            self.check(grace);
        }
    }

    /// Turns the stacks into [`SVG_FILE`] and [`TOP_FILE`]. The error says why there are none.
    pub fn render(self) -> Result<(), String> {
        match &self.state {
            State::Over(outcome) => outcome.clone()?,
            State::Waiting | State::Recording { .. } => {
                return Err("the run was over before py-spy could attach".to_owned());
            }
        }
        let path = self.folder.join(STACKS_FILE);
        let unusable = |error: &dyn std::fmt::Display| format!("{STACKS_FILE}: {error}");
        let folded = files::read(&path).map_err(|error| unusable(&error))?;
        let stacks = Stacks::parse(&String::from_utf8_lossy(&folded))
            .map_err(|line| unusable(&format!("`{line}` is no stack")))?;
        if stacks.samples() == 0 {
            return Err("no samples: the process was idle whenever py-spy looked".to_owned());
        }
        let title = format!("The agent's process, {} samples per second", self.settings.rate);
        let svg = stacks.svg(&title).map_err(|error| format!("{SVG_FILE}: {error}"))?;
        files::write(&self.folder.join(SVG_FILE), &svg)
            .map_err(|error| format!("{SVG_FILE}: {error}"))?;
        self.write_top(&stacks).map_err(|error| format!("{TOP_FILE}: {error}"))
    }

    fn write_top(&self, stacks: &Stacks) -> Result<(), csv::Error> {
        let mut writer = csv::Writer::from_writer(files::create(&self.folder.join(TOP_FILE))?);
        for function in stacks.top() {
            writer.serialize(function)?;
        }
        Ok(writer.flush()?)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if let State::Recording { py_spy, .. } = &mut self.state {
            let _ = py_spy.kill();
            let _ = py_spy.wait();
        }
    }
}

/// What py-spy's words mean, and what to do.
fn reason(log: &str, asked: bool) -> String {
    let log = log.to_lowercase();
    let says = |sign: &str| log.contains(sign);
    if says("permission denied") || says("operation not permitted") || says("requires root") {
        let advice = if cfg!(target_os = "linux") {
            "run as root, give py-spy the capability CAP_SYS_PTRACE, set kernel.yama.ptrace_scope \
             to 0, or start the container with --cap-add SYS_PTRACE"
        } else {
            "run as an administrator"
        };
        format!("py-spy is not permitted to look into the process; {advice}")
    } else if asked && !says("sampling process") {
        "the run was over before py-spy could attach".to_owned()
    } else if says("failed to find python version") || says("failed to find python interpreter") {
        NOT_PYTHON.to_owned()
    } else {
        let mut lines = log.lines().map(str::trim).filter(|line| !line.is_empty());
        let said = lines.clone().find(|line| line.starts_with("error")).or_else(|| lines.next());
        format!("py-spy failed: {}; see {LOG_FILE}", said.unwrap_or("it said nothing"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_py_spy_become_advice() {
        let not_permitted = "Permission Denied: Try running again with elevated permissions";
        assert!(reason(not_permitted, false).contains("CAP_SYS_PTRACE"));
        let no_python = "Error: Failed to find python version from target process";
        assert_eq!(reason(no_python, false), NOT_PYTHON);
        assert!(reason(no_python, true).contains("over before"));
        assert_eq!(
            reason("Hm.\nError: out of luck\n", false),
            "py-spy failed: error: out of luck; see flamegraph.log"
        );
    }
}
