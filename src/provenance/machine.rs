//! The machine: names, processor, memory, GPUs.

use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

use crate::probe::gpu;
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

/// NVIDIA GPUs; none where there is no driver that could tell.
fn gpus() -> Vec<GpuEvidence> {
    let devices = gpu::devices().unwrap_or_default();
    devices
        .into_iter()
        .map(|device| GpuEvidence {
            name: device.name,
            driver: device.driver,
            memory_mb: device.memory_total_bytes.map(|bytes| bytes / (1024 * 1024)),
        })
        .collect()
}
