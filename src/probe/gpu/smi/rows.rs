//! What the lines of `nvidia-smi` mean: a row each, of one GPU.

use std::collections::BTreeMap;

use super::query::Query;
use crate::probe::gpu::recording::Unknown;
use crate::probe::gpu::sample::{GpuSample, throttle_reasons};
use crate::shown;

const MIB: f64 = 1.048_576;

/// A cell's text, or why there is none: `[N/A]`, `[Not Supported]`, `[Unknown Error]`, `N/A`, ….
pub(super) fn known(cell: &str) -> Result<&str, String> {
    let cell = cell.trim();
    match cell.strip_prefix('[').and_then(|cell| cell.strip_suffix(']')) {
        Some(reason) => Err(reason.to_owned()),
        None if cell.is_empty() => Err("an empty cell".to_owned()),
        None if matches!(cell, "N/A" | "ERR!" | "Unknown Error") => Err(cell.to_owned()),
        None => Ok(cell),
    }
}

/// What was read from the program's lines.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub samples: Vec<GpuSample>,
    /// Columns that were unknown at least once, by GPU, with the last reason.
    pub unknown: Unknown,
    /// GPUs of which the last row told nothing, and why.
    pub silent: BTreeMap<u32, String>,
    /// Lines that were no rows, and the first of them.
    pub garbage: u64,
    pub first_garbage: Option<String>,
}

impl Rows {
    /// Takes a line that arrived at `time_ns`; whether it tells something of a GPU.
    pub fn hear(&mut self, query: &Query, line: &str, time_ns: u64) -> bool {
        if line.trim().is_empty() {
            return false;
        }
        let Some(sample) = self.row(query, line, time_ns) else {
            self.garbage += 1;
            self.first_garbage.get_or_insert_with(|| shown::excerpt(line.trim(), 80));
            return false;
        };
        if sample.is_empty() {
            let own = self.unknown.iter().find(|((gpu, _), _)| *gpu == sample.gpu);
            self.silent.extend(own.map(|((gpu, _), reason)| (*gpu, reason.clone())));
            return false;
        }
        self.silent.remove(&sample.gpu);
        self.samples.push(sample);
        true
    }

    fn row(&mut self, query: &Query, line: &str, time_ns: u64) -> Option<GpuSample> {
        let cells: Vec<&str> = line.split(',').collect();
        if cells.len() != query.columns().len() + 1 {
            return None;
        }
        let gpu = cells[0].trim().parse().ok()?;
        let mut sample = GpuSample { time_ns, gpu, ..GpuSample::default() };
        for (column, cell) in query.columns().zip(&cells[1..]) {
            if let Err(reason) = known(cell).and_then(|text| set(&mut sample, column, text)) {
                self.unknown.insert((gpu, column), reason);
            }
        }
        Some(sample)
    }

    /// Whether a column was asked for and no GPU tells it.
    pub fn hides(&self, column: &str) -> bool {
        self.unknown.keys().any(|(_, own)| *own == column)
            && !self.samples.iter().any(|sample| sample.knows(column))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::gpu::Selection;

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
        assert!(rows.unknown.is_empty());
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
        let reasons = [
            ("memory_used_mb", "N/A"),
            ("power_w", "Unknown Error"),
            ("sm_clock_mhz", "Not Supported"),
            ("throttle_reasons", "N/A"),
        ];
        for (column, reason) in reasons {
            assert_eq!(rows.unknown[&(0, column)], reason);
            assert!(rows.hides(column));
        }
        assert!(!rows.hides("memory_percent"), "one row knows it");
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
        assert_eq!((rows.samples.len(), rows.garbage), (1, 3));
        assert!(rows.first_garbage.unwrap().starts_with("Unable to determine"));
    }

    #[test]
    fn a_gpu_that_is_lost_is_silent_and_says_why() {
        let lost = ["1", "[GPU is lost]"].join(", ") + &", [GPU is lost]".repeat(7);
        let rows = rows(&["0, 1, 2, 3, 4, 5, 6, 7, 0x0", "1, 1, 2, 3, 4, 5, 6, 7, 0x0", &lost]);
        assert_eq!((rows.samples.len(), rows.garbage), (2, 0));
        assert_eq!(rows.silent, BTreeMap::from([(1, "GPU is lost".to_owned())]));
    }
}
