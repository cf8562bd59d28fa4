//! What other processes took of the machine during a run, by the system's counters.

use super::ratio;
use super::run::named;
use crate::store::record::{MachineTime, Metrics};

/// Share of all cores' time from which other processes are worth a word, %.
pub const BUSY_PERCENT: f64 = 10.0;
/// CPU time of all cores below which nothing is said, seconds: the counters move on in steps of 10 ms, and
/// several of them go into a share.
const LEAST_CORES_S: f64 = 1.0;

/// The metric of the record; unknown without it.
pub(super) fn metrics(machine: Option<&MachineTime>) -> Metrics {
    named([("others_cpu_percent", machine.and_then(others_percent))])
}

fn others_percent(machine: &MachineTime) -> Option<f64> {
    if machine.cores_s < LEAST_CORES_S {
        return None;
    }
    let own_s = machine.agent_s + machine.runner_s + machine.servers_s;
    // Each is counted in its own way, so that their sum may be a little more than the whole.
    ratio(100.0 * (machine.busy_s - own_s).max(0.0), machine.cores_s)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_what_neither_the_run_nor_its_servers_took() {
        let machine = MachineTime {
            window_s: 2.0,
            cores_s: 4.0,
            busy_s: 3.0,
            agent_s: 0.5,
            runner_s: 0.25,
            servers_s: 1.25,
            ..MachineTime::default()
        };
        assert_eq!(others_percent(&machine), Some(25.0));
        assert_eq!(others_percent(&MachineTime { busy_s: 1.9, ..machine.clone() }), Some(0.0));
        let short = MachineTime { cores_s: 0.9, busy_s: 0.9, ..machine };
        assert_eq!(others_percent(&short), None);
        assert_eq!(metrics(None)["others_cpu_percent"], None);
    }
}
