//! One look at the machine and at the processes of a run, as a row of `host_metrics.csv`.
//!
//! Rows come on schedule, and whenever the agent was started or has ended a call: then it still lives,
//! and what it used until then is known. CPU times are counters, not shares: their difference over any window is exact to a tick of the
//! kernel (usually 10 ms), however often one looked. An empty cell is what was not known at that time.

use serde::{Deserialize, Serialize};

/// File of the [`HostSample`]s in the run's folder.
pub const METRICS_FILE: &str = "host_metrics.csv";

/// One look.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HostSample {
    /// Monotonic.
    pub time_ns: u64,
    /// Since the row before; empty in the first.
    pub interval_ms: Option<f64>,
    /// Share of all cores that worked since the row before.
    pub cpu_percent: Option<f64>,
    /// CPU time of all cores since the machine was started.
    pub busy_cpu_s: Option<f64>,
    /// The same, rest included.
    pub total_cpu_s: Option<f64>,
    /// What is not available to programs, in units of 10^6 bytes.
    pub memory_used_mb: Option<f64>,
    pub memory_available_mb: Option<f64>,
    pub swap_used_mb: Option<f64>,
    pub load_1m: Option<f64>,
    /// Mean of the cores; looked at once a second, in the row of that look.
    pub cpu_mhz: Option<f64>,
    /// CPU time of the agent's process and its descendants.
    pub agent_cpu_s: Option<f64>,
    /// Resident memory of these.
    pub agent_rss_mb: Option<f64>,
    pub agent_processes: Option<u32>,
    /// CPU time of the processes that listen on the ports of local endpoints, and their descendants,
    /// since they were started.
    pub server_cpu_s: Option<f64>,
    pub server_rss_mb: Option<f64>,
    pub server_processes: Option<u32>,
    /// CPU time of the executor itself, in which paced endpoints and this probe run.
    pub runner_cpu_s: Option<f64>,
    pub runner_rss_mb: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_a_contract() {
        let mut table = csv::Writer::from_writer(Vec::new());
        table.serialize(HostSample::default()).unwrap();
        let text = String::from_utf8(table.into_inner().unwrap()).unwrap();
        assert_eq!(
            text,
            "time_ns,interval_ms,cpu_percent,busy_cpu_s,total_cpu_s,memory_used_mb,\
             memory_available_mb,swap_used_mb,load_1m,cpu_mhz,agent_cpu_s,agent_rss_mb,\
             agent_processes,server_cpu_s,server_rss_mb,server_processes,runner_cpu_s,\
             runner_rss_mb\n0,,,,,,,,,,,,,,,,,\n"
        );
    }
}
