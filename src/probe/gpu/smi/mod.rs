//! `nvidia-smi`: where the program is, how it is asked, and which GPUs it tells of.
//!
//! What can be asked is left to [`query`], what its lines mean to [`rows`], recording to [`recorder`].

mod placing;
mod polling;
mod query;
mod recorder;
mod repeating;
mod rows;

use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use self::query::{Query, refused_field};
pub(super) use self::recorder::Recorder;
use self::rows::{Rows, known};
use super::{Device, Selection};
use crate::os::process::{self, Ran};
use crate::probe::sampling::Unavailable;
use crate::shown;

/// Names the program to use, in place of NVML.
const OWN: &str = "RUNNER_NVIDIA_SMI";
/// A driver that is in trouble can hold the program for ever.
const LIMIT: Duration = Duration::from_secs(10);

/// The program.
#[derive(Debug, Clone)]
pub struct Smi {
    program: PathBuf,
}

impl Smi {
    /// The one that the user names.
    #[must_use]
    pub fn named() -> Option<Self> {
        let own = env::var_os(OWN).filter(|own| !own.is_empty())?;
        Some(Self { program: own.into() })
    }

    /// The one on the search path.
    #[must_use]
    pub fn on_search_path() -> Option<Self> {
        let name = format!("nvidia-smi{}", env::consts::EXE_SUFFIX);
        let path = env::var_os("PATH")?;
        let mut programs = env::split_paths(&path).map(|folder| folder.join(&name));
        programs.find(|program| program.is_file()).map(|program| Self { program })
    }

    pub fn devices(&self) -> Result<Vec<Device>, Unavailable> {
        let fields = "index,uuid,name,driver_version,memory.total,memory.free";
        let ran = self.ask(fields, &Selection::default())?;
        let devices: Vec<Device> = ran.stdout.lines().filter_map(device).collect();
        if devices.is_empty() {
            return Err(self.no_gpu(&ran));
        }
        Ok(devices)
    }

    /// The query that this version of the program answers, tried out: fields that it does not know, or
    /// knows nothing of, are replaced or left out.
    fn query(&self, selection: &Selection) -> Result<Query, Unavailable> {
        let mut query = Query::new(selection.clone());
        loop {
            let ran = match self.ask(&query.fields(), selection) {
                Ok(ran) => ran,
                Err(failed) => match refused_field(&failed.0).map(str::to_owned) {
                    Some(field) if query.give_up(&field) => continue,
                    _ => return Err(failed),
                },
            };
            let mut rows = Rows::default();
            for line in ran.stdout.lines() {
                rows.hear(&query, line, 0);
            }
            if rows.samples.is_empty() {
                return Err(self.no_gpu(&ran));
            }
            if !query.replace_unknown(&rows) {
                return Ok(query);
            }
        }
    }

    /// Asks once for these fields.
    fn ask(&self, fields: &str, selection: &Selection) -> Result<Ran, Unavailable> {
        let ran = process::run_within(&mut self.command(fields, selection), LIMIT)
            .map_err(|error| self.unavailable(&error.to_string()))?;
        if ran.status.success() {
            return Ok(ran);
        }
        let said = words(&ran);
        let status = ran.status;
        Err(self.unavailable(&if said.is_empty() { status.to_string() } else { said }))
    }

    /// The program with a query.
    fn command(&self, fields: &str, selection: &Selection) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(format!("--query-gpu={fields}")).arg("--format=csv,noheader,nounits");
        if !selection.devices.is_empty() {
            command.arg(format!("--id={}", selection.devices.join(",")));
        }
        command
    }

    /// It ran well, and named none.
    fn no_gpu(&self, ran: &Ran) -> Unavailable {
        let said = words(ran);
        let said = if said.is_empty() { said } else { format!(": {said}") };
        self.unavailable(&format!("it told of no GPU{said}"))
    }

    fn unavailable(&self, reason: &str) -> Unavailable {
        Unavailable(format!("nvidia-smi ({}): {reason}", self.program.display()))
    }
}

/// What the program said, in one line.
fn words(ran: &Ran) -> String {
    let text = format!("{}\n{}", ran.stdout, ran.stderr);
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    shown::excerpt(lines.next().unwrap_or_default(), 200)
}

fn device(line: &str) -> Option<Device> {
    let mut cells = line.split(',').map(|cell| known(cell).ok());
    let index = cells.next()??.parse().ok()?;
    let mut text = || cells.next().flatten().map(str::to_owned);
    let (uuid, name, driver) = (text(), text(), text());
    let mut bytes = || {
        let mib: u64 = cells.next().flatten()?.parse().ok()?;
        mib.checked_mul(1024 * 1024)
    };
    let (memory_total_bytes, memory_free_bytes) = (bytes(), bytes());
    Some(Device { index, uuid, name: name?, driver, memory_total_bytes, memory_free_bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_listed_with_what_is_known() {
        let line =
            "0, GPU-7bdeeff7-f7c6-e13c-f368-227523e670a7, NVIDIA H200, 570.86.15, 143771, 143000";
        let device = device(line).unwrap();
        assert_eq!(device.memory_total_bytes, Some(143_771 * 1024 * 1024));
        assert_eq!(device.driver.as_deref(), Some("570.86.15"));
        let shared = super::device("0, GPU-1, NVIDIA GB10, 580.1, [N/A], [N/A]").unwrap();
        assert_eq!((shared.memory_total_bytes, shared.memory_free_bytes), (None, None));
        assert!(super::device("No devices were found").is_none());
    }
}
