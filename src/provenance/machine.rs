//! The machine: names, processor, memory, GPUs.

use std::process::{Command, Stdio};

use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

use crate::store::record::{GpuEvidence, MachineEvidence};

/// The machine as it is now.
#[must_use]
pub fn machine() -> MachineEvidence {
    let wanted = RefreshKind::nothing()
        .with_cpu(CpuRefreshKind::nothing())
        .with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(wanted).ok();
    let cpu = system.as_ref().and_then(|system| {
        let cpu = system.cpus().first()?;
        Some(cpu.brand().trim().to_owned()).filter(|brand| !brand.is_empty())
    });
    let cores = system.as_ref().map(|system| system.cpus().len()).filter(|count| *count > 0);
    let memory = system.as_ref().map(System::total_memory).filter(|bytes| *bytes > 0);
    MachineEvidence {
        hostname: System::host_name().ok(),
        os: System::long_os_version().ok(),
        kernel: System::kernel_version().ok(),
        cpu,
        cores: cores.and_then(|count| u32::try_from(count).ok()),
        memory_mb: memory.map(|bytes| bytes / (1024 * 1024)),
        governor: governor(),
        gpus: gpus(),
    }
}

/// Linux tells the governor per core; the first stands for all.
fn governor() -> Option<String> {
    let path = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor";
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// GPUs as `nvidia-smi` names them; none where there is no such program or no GPU.
fn gpus() -> Vec<GpuEvidence> {
    let output = Command::new("nvidia-smi")
        .args(["--query-gpu=name,driver_version,memory.total", "--format=csv,noheader,nounits"])
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) if output.status.success() => parse(&String::from_utf8_lossy(&output.stdout)),
        _ => Vec::new(),
    }
}

pub(super) fn parse(text: &str) -> Vec<GpuEvidence> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split(',').map(str::trim);
            let name = fields.next().filter(|name| !name.is_empty())?;
            let known = |field: Option<&str>| {
                field.filter(|text| !text.is_empty() && !text.starts_with('[')).map(str::to_owned)
            };
            let driver = known(fields.next());
            let memory_mb = known(fields.next()).and_then(|text| text.parse().ok());
            Some(GpuEvidence { name: name.to_owned(), driver, memory_mb })
        })
        .collect()
}
