//! The machine: what would disturb or distort a measurement now. None of it stops one.

use super::{Finding, Subject};
use crate::metrics::machine::BUSY_PERCENT;
use crate::os::condition::Condition;

/// Swap that idle programs leave behind is no sign of a lack of memory.
const SWAP_BYTES: u64 = 100 * 1024 * 1024;
/// Share of the memory that should be available.
const AVAILABLE: f64 = 0.05;
/// Clocks that are read without a detour through slow hardware.
const FAST_CLOCKS: [&str; 7] = [
    "tsc",
    "kvm-clock",
    "arch_sys_counter",
    "hyperv_clocksource_tsc_page",
    "hyperv_clocksource",
    "xen",
    "riscv_clocksource",
];

pub(super) fn findings(machine: &Condition) -> Vec<Finding> {
    [governor, busy, throttled, swap, available, clock]
        .iter()
        .filter_map(|check| check(machine))
        .collect()
}

pub(super) fn governor(machine: &Condition) -> Option<Finding> {
    let slow: Vec<&str> = machine
        .governors
        .iter()
        .map(String::as_str)
        .filter(|governor| *governor != "performance")
        .collect();
    if slow.is_empty() {
        return None;
    }
    let message = format!(
        "the frequency governor is {}: the clock follows the load, so times scatter and depend on \
         what ran before",
        slow.join(", ")
    );
    let advice = "`cpupower frequency-set --governor performance` (as root) while measuring";
    Some(Finding::warning(Subject::Cpu, message, advice))
}

pub(super) fn busy(machine: &Condition) -> Option<Finding> {
    let share = machine.others_busy.filter(|share| 100.0 * share > BUSY_PERCENT)?;
    let message = format!("other processes take {:.0} % of the cores' time", 100.0 * share);
    let advice =
        "end them, or wait until the machine is quiet: what is measured shares it with them";
    Some(Finding::warning(Subject::Cpu, message, advice))
}

pub(super) fn throttled(machine: &Condition) -> Option<Finding> {
    machine.throttled_now.filter(|count| *count > 0)?;
    let message = "the processor is being slowed down because it is too hot".to_owned();
    Some(Finding::warning(Subject::Cpu, message, "let it cool down, or improve its cooling"))
}

pub(super) fn swap(machine: &Condition) -> Option<Finding> {
    let used = machine.swap_used_bytes.filter(|used| *used >= SWAP_BYTES)?;
    let message =
        format!("{} MB of swap are in use: what comes back from it is slow", used / 1_000_000);
    let advice = "close what needs memory; `swapoff -a && swapon -a` (as root) empties it";
    Some(Finding::warning(Subject::Memory, message, advice))
}

pub(super) fn available(machine: &Condition) -> Option<Finding> {
    let (total, free) = machine.memory_total_bytes.zip(machine.memory_available_bytes)?;
    if free as f64 >= AVAILABLE * total as f64 {
        return None;
    }
    let message = format!("{} MB of {} MB are available", free / 1_000_000, total / 1_000_000);
    Some(Finding::warning(Subject::Memory, message, "close what needs memory"))
}

pub(super) fn clock(machine: &Condition) -> Option<Finding> {
    let source = machine.clock_source.as_deref();
    let slow = source.filter(|source| !FAST_CLOCKS.contains(source))?;
    let message = format!("the time is read from {slow}, which takes long");
    let advice = "find out why the kernel does not trust the processor's counter (`dmesg | grep -i \
                  clocksource`)";
    Some(Finding::warning(Subject::Clock, message, advice))
}
