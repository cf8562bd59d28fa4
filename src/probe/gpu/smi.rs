//! `nvidia-smi`: where it is, what it says of GPUs, and what its words mean.
//!
//! Recording with it is left to [`super::smi_recorder`].

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::sample::{GpuSample, throttle_reasons};
use super::{Device, Selection};
use crate::os::process::{self, Ran};
use crate::probe::sampling::Unavailable;

/// Names the program to use, in place of NVML.
pub const OWN: &str = "RUNNER_NVIDIA_SMI";
/// A driver that is in trouble can hold the program for ever.
const LIMIT: Duration = Duration::from_secs(10);
const MIB: f64 = 1.048_576;

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
    pub fn query(&self, selection: &Selection) -> Result<Query, Unavailable> {
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
    pub(super) fn ask(&self, fields: &str, selection: &Selection) -> Result<Ran, Unavailable> {
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
    pub(super) fn command(&self, fields: &str, selection: &Selection) -> Command {
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

    pub(super) fn unavailable(&self, reason: &str) -> Unavailable {
        Unavailable(format!("nvidia-smi ({}): {reason}", self.program.display()))
    }
}

/// What the program said, in one line.
fn words(ran: &Ran) -> String {
    let text = format!("{}\n{}", ran.stdout, ran.stderr);
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.next().unwrap_or("").chars().filter(|c| !c.is_control()).take(200).collect()
}

/// `Field "x" is not a valid field to query.`
fn refused_field(said: &str) -> Option<&str> {
    let (_, rest) = said.split_once("Field \"")?;
    let (field, rest) = rest.split_once('"')?;
    rest.contains("not a valid field").then_some(field)
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

/// A cell's text, or why there is none: `[N/A]`, `[Not Supported]`, `[Unknown Error]`, `N/A`, ….
fn known(cell: &str) -> Result<&str, String> {
    let cell = cell.trim();
    match cell.strip_prefix('[').and_then(|cell| cell.strip_suffix(']')) {
        Some(reason) => Err(reason.to_owned()),
        None if cell.is_empty() => Err("an empty cell".to_owned()),
        None if matches!(cell, "N/A" | "ERR!" | "Unknown Error") => Err(cell.to_owned()),
        None => Ok(cell),
    }
}

/// Column → the fields that can fill it, the best first.
const FIELDS: [(&str, &[&str]); 8] = [
    ("power_w", &["power.draw.instant", "power.draw"]),
    ("sm_percent", &["utilization.gpu"]),
    ("memory_percent", &["utilization.memory"]),
    ("memory_used_mb", &["memory.used"]),
    ("temperature_c", &["temperature.gpu"]),
    ("sm_clock_mhz", &["clocks.current.sm"]),
    ("memory_clock_mhz", &["clocks.current.memory"]),
    ("throttle_reasons", &["clocks_event_reasons.active", "clocks_throttle_reasons.active"]),
];

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Query {
    pub(super) selection: Selection,
    /// Column, the field that fills it, and what is left to try.
    columns: Vec<(&'static str, &'static [&'static str])>,
    /// Columns that no field fills, and why.
    pub(super) refused: BTreeMap<String, String>,
}

impl Query {
    fn new(selection: Selection) -> Self {
        let not_told = "nvidia-smi's queries do not offer it";
        let refused = ["energy_j", "pcie_rx_mb_per_s", "pcie_tx_mb_per_s"]
            .map(|column| (column.to_owned(), not_told.to_owned()));
        Self { selection, columns: FIELDS.to_vec(), refused: refused.into() }
    }

    /// For `--query-gpu`.
    pub(super) fn fields(&self) -> String {
        let fields = self.columns.iter().filter_map(|(_, fields)| fields.first().copied());
        ["index"].into_iter().chain(fields).collect::<Vec<_>>().join(",")
    }

    /// The field that fills a column.
    pub(super) fn field(&self, column: &str) -> Option<&'static str> {
        self.columns.iter().find(|(own, _)| *own == column)?.1.first().copied()
    }

    /// Does without a field that the program does not know.
    fn give_up(&mut self, field: &str) -> bool {
        let Some(place) =
            self.columns.iter().position(|(_, fields)| fields.first() == Some(&field))
        else {
            return false;
        };
        let (column, fields) = &mut self.columns[place];
        *fields = &fields[1..];
        if fields.is_empty() {
            let reason = format!("this nvidia-smi knows no field `{field}`");
            self.refused.insert((*column).to_owned(), reason);
            self.columns.remove(place);
        }
        true
    }

    /// Takes the next field for columns of which no row knows anything; whether there was one.
    fn replace_unknown(&mut self, rows: &Rows) -> bool {
        let mut replaced = false;
        for (column, fields) in &mut self.columns {
            if rows.unknown.contains_key(*column) && !rows.seen(column) && fields.len() > 1 {
                *fields = &fields[1..];
                replaced = true;
            }
        }
        replaced
    }
}

/// What was read from the program's lines.
#[derive(Debug, Default)]
pub struct Rows {
    pub samples: Vec<GpuSample>,
    /// Columns that were unknown at least once, with the last reason.
    pub unknown: BTreeMap<&'static str, String>,
    /// Lines that were no rows, and the first of them.
    pub garbage: u64,
    pub first_garbage: Option<String>,
}

impl Rows {
    /// Takes a line that arrived at `time_ns`.
    pub fn hear(&mut self, query: &Query, line: &str, time_ns: u64) -> bool {
        if line.trim().is_empty() {
            return false;
        }
        if let Some(sample) = self.row(query, line, time_ns) {
            self.samples.push(sample);
            return true;
        }
        self.garbage += 1;
        let excerpt = || line.trim().chars().filter(|c| !c.is_control()).take(80).collect();
        self.first_garbage.get_or_insert_with(excerpt);
        false
    }

    fn row(&mut self, query: &Query, line: &str, time_ns: u64) -> Option<GpuSample> {
        let cells: Vec<&str> = line.split(',').collect();
        if cells.len() != query.columns.len() + 1 {
            return None;
        }
        let mut sample =
            GpuSample { time_ns, gpu: cells[0].trim().parse().ok()?, ..GpuSample::default() };
        for ((column, _), cell) in query.columns.iter().zip(&cells[1..]) {
            match known(cell).and_then(|text| set(&mut sample, column, text)) {
                Ok(()) => {}
                Err(reason) => {
                    self.unknown.insert(column, reason);
                }
            }
        }
        (!sample.is_empty()).then_some(sample)
    }

    fn seen(&self, column: &str) -> bool {
        self.samples.iter().any(|sample| is_known(sample, column))
    }

    /// Columns in which no row has a value, with the reason.
    pub fn never_known(&self) -> BTreeMap<String, String> {
        let never = self.unknown.iter().filter(|(column, _)| !self.seen(column));
        never.map(|(column, reason)| ((*column).to_owned(), reason.clone())).collect()
    }
}

/// Puts a cell into its column.
fn set(sample: &mut GpuSample, column: &str, text: &str) -> Result<(), String> {
    let no_number = || format!("`{text}` is no number");
    if column == "throttle_reasons" {
        let digits = text.strip_prefix("0x").ok_or_else(no_number)?;
        let mask = u64::from_str_radix(digits, 16).map_err(|_| no_number())?;
        sample.throttle_reasons = Some(throttle_reasons(mask));
        return Ok(());
    }
    let number: f64 = text.parse().map_err(|_| no_number())?;
    if !number.is_finite() || number < 0.0 {
        return Err(no_number());
    }
    let place = match column {
        "power_w" => &mut sample.power_w,
        "sm_percent" => &mut sample.sm_percent,
        "memory_percent" => &mut sample.memory_percent,
        "temperature_c" => &mut sample.temperature_c,
        "sm_clock_mhz" => &mut sample.sm_clock_mhz,
        "memory_clock_mhz" => &mut sample.memory_clock_mhz,
        _ => {
            sample.memory_used_mb = Some(number * MIB);
            return Ok(());
        }
    };
    *place = Some(number);
    Ok(())
}

fn is_known(sample: &GpuSample, column: &str) -> bool {
    match column {
        "power_w" => sample.power_w.is_some(),
        "sm_percent" => sample.sm_percent.is_some(),
        "memory_percent" => sample.memory_percent.is_some(),
        "memory_used_mb" => sample.memory_used_mb.is_some(),
        "temperature_c" => sample.temperature_c.is_some(),
        "sm_clock_mhz" => sample.sm_clock_mhz.is_some(),
        "memory_clock_mhz" => sample.memory_clock_mhz.is_some(),
        _ => sample.throttle_reasons.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(lines: &[&str]) -> Rows {
        let query = Query::new(Selection::default());
        let mut rows = Rows::default();
        for (time_ns, line) in (0..).zip(lines) {
            rows.hear(&query, line, time_ns);
        }
        rows
    }

    #[test]
    fn rows_are_read_with_their_units() {
        let rows = rows(&["1, 142.50, 65, 31, 9727, 61, 2505, 10251, 0x0000000000000004"]);
        let sample = &rows.samples[0];
        assert_eq!((sample.gpu, sample.power_w, sample.sm_percent), (1, Some(142.5), Some(65.0)));
        assert!((sample.memory_used_mb.unwrap() - 10_199.5).abs() < 0.1, "MiB become MB");
        assert_eq!(sample.throttle_reasons.as_deref(), Some("sw_power_cap"));
        assert_eq!(sample.energy_j, None);
        assert!(rows.never_known().is_empty());
    }

    #[test]
    fn what_a_driver_does_not_tell_is_unknown_with_its_own_words() {
        let rows = rows(&[
            "0, [N/A], 0, 0, [N/A], 41, [Not Supported], 405, Not Active",
            "0, [Unknown Error], 5, [N/A], [N/A], 41, [Not Supported], 405, [N/A]",
        ]);
        assert_eq!(rows.samples.len(), 2);
        assert_eq!(rows.samples[0].sm_percent, Some(0.0), "a zero is a zero");
        assert_eq!((rows.samples[1].power_w, rows.samples[1].sm_clock_mhz), (None, None));
        let never = rows.never_known();
        let expected = [
            ("memory_used_mb", "N/A"),
            ("power_w", "Unknown Error"),
            ("sm_clock_mhz", "Not Supported"),
            ("throttle_reasons", "N/A"),
        ];
        assert_eq!(never, expected.map(|(c, r)| (c.to_owned(), r.to_owned())).into());
    }

    #[test]
    fn lines_that_are_no_rows_are_counted() {
        let rows = rows(&[
            "",
            "Unable to determine the device handle for GPU0000:01:00.0: Unknown Error",
            "0, 12.5",
            "x, 1, 2, 3, 4, 5, 6, 7, 0x0",
            "0, -1, nan, inf, 4 MiB, [N/A], [N/A], [N/A], 8",
            "0, 1, 2, 3, 4, 5, 6, 7, 0x0",
        ]);
        assert_eq!((rows.samples.len(), rows.garbage), (1, 4));
        assert!(rows.first_garbage.unwrap().starts_with("Unable to determine"));
    }

    #[test]
    fn fields_that_a_version_does_not_know_are_replaced_or_left_out() {
        let refusal = "Field \"clocks_event_reasons.active\" is not a valid field to query.";
        let mut query = Query::new(Selection::default());
        assert!(query.give_up(refused_field(refusal).unwrap()));
        assert!(query.fields().ends_with(",clocks_throttle_reasons.active"));
        assert!(query.give_up("clocks_throttle_reasons.active"));
        assert!(query.refused["throttle_reasons"].contains("clocks_throttle_reasons"));
        assert!(!query.give_up("index"), "without it there is nothing to read");
    }

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
