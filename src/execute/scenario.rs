//! Scenario runs: agents of one runtime process call endpoints, as the agent protocol says.
//!
//! From the spec that the process gets to the metrics of what it left; sealing or keeping it is left
//! to [`super::attempt`].

use std::path::Path;
use std::time::Duration;

use formats::clock;
use formats::protocol::{AgentRecord, Window};

use super::attempt::{Failed, Means, Measured, Task};
use super::flamegraph::Flamegraph;
use super::memory::Servers;
use super::request::{IDLE, Request};
use super::watched::{Watched, watch};
use super::wire::Wire;
use super::{ExecError, Limits, artifacts, calibrate, derived, workflow};
use crate::metrics::serving::serving;
use crate::metrics::{self, Conditions, Seen};
use crate::plan::{CellSpec, ScenarioWork};
use crate::store::record::{Calibration, Evidence};

/// Makes the calls and computes what they tell. The inner error is the attempt's, the outer one means
/// that nothing more can be stored.
pub(super) fn measure(
    task: &Task<'_>,
    scenario: &ScenarioWork,
    run: &str,
    partial: &Path,
    evidence: &Evidence,
    means: &mut Means<'_>,
) -> Result<Result<Measured, Failed>, ExecError> {
    let paced = means.paced.addresses();
    let spec = Request {
        cell: task.cell,
        scenario,
        id: task.id,
        session: means.session,
        repeat: task.repeat,
        attempt: task.attempt,
        run,
        artifacts: partial,
        paced: &paced,
    }
    .spec();
    let mut servers = Servers::of(scenario, &paced);
    if scenario.cold
        && let Err(fault) = servers.unload(means.limits.unload)
    {
        return Ok(Err(Failed { fault, servers: servers.look() }));
    }
    let began_ns = clock::monotonic_ns();
    let mut flamegraph = Flamegraph::new(task.cell, partial, means.py_spy);
    let wire = Wire::start(task.cell, &spec, partial);
    let refusal = flamegraph.refusal().or_else(|| wire.refusal());
    let Watched { mut usage, machine, result, sampled } = if let Some(fault) = refusal {
        Watched::refused(fault)
    } else {
        let overall = overall_limit(task.cell, scenario, means.limits);
        watch(task, &spec, overall, partial, flamegraph.recorder(), means)?
    };
    let servers = servers.look();
    if spec.variant.get("processes").is_some_and(|processes| processes == "agent") {
        // The system tells the peak of the largest of several processes, which is nobody's.
        usage.peak_rss_mb = None;
    }
    means.paced.write_sends(run, partial).map_err(|error| ExecError::sends(partial, error))?;
    let recorded = result.and_then(|()| {
        let record = artifacts::check(partial, &spec, began_ns)?;
        workflow::check(partial, &spec, scenario, &record)?;
        sampled.check(all_calls(&record))?;
        Ok(record)
    });
    let (record, wire) = match recorded {
        Err(fault) => return Ok(Err(Failed { fault, servers })),
        Ok(record) => match wire.finish(&spec, &record, partial)? {
            Err(fault) => return Ok(Err(Failed { fault, servers })),
            Ok(outcome) => (record, outcome),
        },
    };
    let endpoint_of = |agent: &str| {
        let mut agents = scenario.agents.iter();
        agents.find(|own| own.name == agent).map(|own| own.endpoint_name.as_str())
    };
    let serving = serving(&spec, endpoint_of, evidence, &servers);
    let judged = (|| {
        let conditions = Conditions {
            throttled: scenario.throttle.is_some(),
            held_back: Conditions::holds_back(|name| spec.variant.contains_key(name)),
            cold: scenario.cold,
            serving: &serving,
        };
        let seen = Seen { process: &usage, machine: machine.as_ref() };
        let metrics = metrics::of_calls(&record, partial, seen, conditions)?;
        Ok((record, metrics, flamegraph.finish()?))
    })();
    let (agent, computed, mut probes) = match judged {
        Ok(judged) => judged,
        Err(fault) => return Ok(Err(Failed { fault, servers })),
    };
    if let Err(fault) = derived::write(partial, &agent)? {
        return Ok(Err(Failed { fault, servers }));
    }
    probes.extend(sampled.probes);
    probes.extend(wire.said.map(|said| ("wire".to_owned(), said)));
    Ok(Ok(Measured {
        calibration: own_calibration(task.cell, computed.calibration),
        info: Some(agent.runtime),
        usage,
        machine,
        calls: computed.calls,
        agents: computed.agents,
        metrics: computed.run,
        probes,
        sampling: sampled.sampling,
        wire: wire.summary,
        servers,
        serving,
        ..Measured::default()
    }))
}

/// The error of the run's own timestamps, where the logs of all its servers tell it.
fn own_calibration(cell: &CellSpec, calibration: Option<Calibration>) -> Option<Calibration> {
    let calibration = calibration.filter(|_| calibrate::by_itself(cell))?;
    Some(Calibration { own: true, ..calibrate::described(calibration, cell) })
}

/// From the first start to the last end, warm-up included.
fn all_calls(record: &AgentRecord) -> Option<Window> {
    let start_ns = record.calls.iter().map(|call| call.start_ns).min()?;
    let end_ns = record.calls.iter().map(|call| call.end_ns).max()?;
    Some(Window { start_ns, end_ns })
}

/// The idle control, all calls of the longest stream one after the other at their limit, and the
/// slack.
pub(super) fn overall_limit(cell: &CellSpec, scenario: &ScenarioWork, limits: &Limits) -> Duration {
    let idle = if scenario.idle { IDLE } else { Duration::ZERO };
    let longest = scenario.agents.iter().map(|agent| agent.work.prompts().len()).max();
    let calls = longest.and_then(|calls| u32::try_from(calls).ok()).unwrap_or(1);
    let calls = scenario.warmup.saturating_add(1).saturating_mul(calls);
    cell.timeout.saturating_mul(calls).saturating_add(idle).saturating_add(limits.slack)
}
