//! Python, profiler, GPU and disk: what the instruments and runtimes stand on.

use std::path::Path;

use super::{Line, State};
use crate::os::{disk, open_files, process};
use crate::preflight::facts::{self, PySpy, Python};
use crate::preflight::{Facts, Needs};
use crate::probe::gpu;
use crate::python;

pub(super) fn lines(results: &Path, setup: &python::Setup) -> Vec<Line> {
    let mut lines = vec![free(results), files(open_files::limits())];
    lines.extend(python_lines(setup));
    lines.push(py_spy(&setup.python));
    lines.push(ptrace());
    lines.push(gpu());
    lines.push(capture());
    lines
}

fn capture() -> Line {
    match facts::no_capture() {
        None => Line::ok("packets", "can be captured, so that the wire probe works".to_owned()),
        Some(reason) => Line::unavailable("packets", reason, "only the wire probe needs it"),
    }
}

fn free(results: &Path) -> Line {
    let folder = super::super::disk::existing(results);
    let shown = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let Some(free) = disk::free_bytes(folder) else {
        return Line::unavailable("disk", "the system does not tell what is free", "");
    };
    let found = format!("{:.1} GB free for {}", free as f64 / 1e9, shown.display());
    let facts =
        Facts { disk: facts::Disk { folder: shown, free_bytes: Some(free) }, ..Facts::default() };
    Line::judged("disk", found, super::super::disk::findings(&Needs::default(), &facts))
}

fn files(limits: open_files::Limits) -> Line {
    let shown = |limit: Option<u64>| limit.map_or("no limit".to_owned(), |limit| limit.to_string());
    let found = match limits {
        open_files::Limits { hard: None, soft: None } => "no limit".to_owned(),
        open_files::Limits { hard, soft } if hard == soft => {
            format!("{} in a process, each stream is one", shown(hard))
        }
        open_files::Limits { hard, soft } => format!(
            "{} in a process, each stream is one; it may raise that to {}",
            shown(soft),
            shown(hard)
        ),
    };
    Line::ok("open files", found)
}

fn python_lines(setup: &python::Setup) -> Vec<Line> {
    let cache = if let Some(folder) = &setup.python.cache {
        Line::ok("cache", folder.display().to_string())
    } else {
        let advice = "set RUNNER_CACHE, XDG_CACHE_HOME or HOME";
        Line::unavailable("cache", "the environment names no folder for caches", advice)
    };
    let (name, environment) = ("python", "python runtime");
    let here = |version: &str| {
        Line::ok(name, format!("Python {version} ({})", setup.python.interpreter.display()))
    };
    match facts::python(setup) {
        Python::Ready { version, folder } => {
            let ready = format!("ready in {}", folder.display());
            vec![here(&version), Line::ok(environment, ready), cache]
        }
        Python::ToBeMade { version, .. } => {
            let advice = "the first exec that needs it makes it; that takes a package index";
            let absent = "its environment is not made yet";
            vec![here(&version), Line::unavailable(environment, absent, advice), cache]
        }
        Python::Unusable(reason) => {
            let advice = "only the Python runtime needs it";
            vec![Line::unavailable(name, reason, advice), cache]
        }
    }
}

fn py_spy(python: &crate::python::Python) -> Line {
    let name = "py-spy";
    match facts::py_spy(python) {
        PySpy::Found(program) => Line::ok(name, program.display().to_string()),
        PySpy::ToBeInstalled => {
            let advice = "the first run with the flamegraph probe installs it";
            Line::unavailable(name, "it is not installed yet", advice)
        }
        PySpy::Unavailable(reason) => {
            Line::unavailable(name, reason, "only the flamegraph probe needs it")
        }
    }
}

/// Whether py-spy may look into another process.
fn ptrace() -> Line {
    let name = "ptrace";
    match process::tracing() {
        Ok(Some(found)) => Line::ok(name, found),
        Ok(None) => Line::unavailable(name, "the system does not tell who may", ""),
        Err(found) => {
            let line = Line::unavailable(name, found, "only the flamegraph probe needs it");
            Line { state: State::Warning, ..line }
        }
    }
}

fn gpu() -> Line {
    let gpus = match facts::gpus() {
        Ok(gpus) => gpus,
        Err(reason) => {
            let advice = "the gpu probe and the check of models against memory need NVIDIA's driver; where its \
                 library is not found, RUNNER_NVML_LIBRARY names it";
            return Line::unavailable("gpu", reason, advice);
        }
    };
    let described = gpus.iter().map(|gpu| {
        let memory = gpu.memory_free_bytes.zip(gpu.memory_total_bytes).map(|(free, total)| {
            format!(", {:.1} of {:.1} GB free", free as f64 / 1e9, total as f64 / 1e9)
        });
        let driver = gpu.driver.as_deref().map(|driver| format!(", driver {driver}"));
        format!("{}{}{}", gpu.name, memory.unwrap_or_default(), driver.unwrap_or_default())
    });
    let described = described.collect::<Vec<_>>().join("; ");
    let unreachable = gpu::unreachable();
    if unreachable.is_empty() {
        return Line::ok("gpu", described);
    }
    let advice = "the gpu probe watches the others; one that is lost needs a reset or a reboot";
    Line {
        state: State::Warning,
        advice: Some(advice.to_owned()),
        ..Line::ok("gpu", format!("{described}; {}", unreachable.join("; ")))
    }
}
