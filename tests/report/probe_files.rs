//! Raw files of probes, as runs leave them behind.

use std::fmt::Write as _;
use std::fs;

use formats::protocol::{AgentRecord, Window};

use crate::stored::{Stored, record};

const MS: u64 = 1_000_000;

/// Files of one run: its record with an idle window, the loop lag of both, and two GPUs.
fn files(record: &AgentRecord) -> Vec<(&'static str, String)> {
    let end_ms = record.calls.iter().map(|call| call.end_ns).max().unwrap() / MS;
    let mut lag = String::from("time_ns,lag_ms\n");
    let mut windows = String::from(
        "start_ns,duration_ms,samples,lag_p50_ms,lag_p99_ms,lag_max_ms,chunks,chunks_per_s\n",
    );
    let mut gpu = String::from("time_ns,interval_ms,gpu,power_w,memory_used_mb,sm_percent\n");
    for time_ms in 100..end_ms {
        // every fiftieth wake-up is late, once calls are made
        let late = if time_ms > 1000 && time_ms % 50 == 0 { 12.5 } else { 0.1 };
        let _ = writeln!(lag, "{},{}", time_ms * MS, late + (time_ms % 7) as f64 / 100.0);
        if time_ms % 100 == 0 {
            let start = time_ms * MS;
            let _ = writeln!(windows, "{start},100,100,0.1,1.5,{late},{0},{0}0", time_ms % 13);
            for card in 0..2 {
                let power = 60 + 100 * card + time_ms % 90;
                let _ = writeln!(gpu, "{start},100,{card},{power}.5,{},", 8000 + time_ms % 500);
            }
        }
    }
    let record = serde_json::to_string(record).unwrap();
    let names = ["agent.json", "loop_lag.csv", "loop_lag_windows.csv", "gpu_metrics.csv"];
    names.into_iter().zip([record, lag, windows, gpu]).collect()
}

impl Stored {
    /// Makes every stored run again, with the files of probes.
    pub fn add_probe_files(&self) {
        for (cell, repeat) in self.stored_runs() {
            self.remove(cell, repeat);
            let mut own = record(u64::from(cell), u64::from(repeat));
            let agents = self.plan.spec(cell).agents().to_vec();
            own.calls.retain(|call| agents.iter().any(|agent| agent.name == call.agent));
            own.idle = Some(Window { start_ns: 100 * MS, end_ns: 900 * MS });
            self.seal_with(cell, &self.run(cell, repeat), &files(&own));
        }
    }

    /// Replaces a file in every run that has it.
    pub fn damage(&self, file: &str, text: &str) {
        for entry in walkdir::WalkDir::new(self.results()).into_iter().flatten() {
            if entry.file_name() == file {
                fs::write(entry.path(), text).unwrap();
            }
        }
    }
}
