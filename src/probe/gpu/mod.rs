//! The GPU probe: what NVIDIA GPUs there are, and a record of power, use, memory and clocks over a run.
//!
//! From NVML, or where that does not open from `nvidia-smi`. Without either the probe is unavailable,
//! and says so. What samples mean is left to `metrics`.

mod nvml;
mod recording;
pub mod sample;
mod smi;

use std::sync::Arc;
use std::time::Duration;

use formats::clock;

use self::nvml::Library;
pub use self::recording::Recording;
pub use self::sample::{GpuProcess, GpuSample, METRICS_FILE, PROCESSES_FILE, is_slowed};
use self::smi::Smi;
use super::sampling::Unavailable;

/// How long the first look may take.
const FIRST_LOOK: Duration = Duration::from_secs(15);

/// A GPU of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// By the driver's count.
    pub index: u32,
    pub uuid: Option<String>,
    pub name: String,
    /// Version of the driver.
    pub driver: Option<String>,
    pub memory_total_bytes: Option<u64>,
    pub memory_free_bytes: Option<u64>,
}

impl Device {
    /// In words, as people tell GPUs apart.
    fn words(&self) -> String {
        let uuid = self.uuid.as_deref().map_or_else(String::new, |uuid| format!(" ({uuid})"));
        format!("GPU {}: {}{uuid}", self.index, self.name)
    }

    /// By its index or its UUID.
    fn is(&self, name: &str) -> bool {
        self.index.to_string() == name || self.uuid.as_deref() == Some(name)
    }
}

/// The NVIDIA GPUs of this machine with what is free on them now; at least one.
pub fn devices() -> Result<Vec<Device>, Unavailable> {
    Driver::find()?.devices()
}

/// GPUs that the driver counts and that cannot be asked, each with the reason; empty without a driver.
#[must_use]
pub fn unreachable() -> Vec<String> {
    match Driver::find() {
        Ok(Driver::Nvml(library)) => library.unreachable(),
        // Its program names none, or nothing at all.
        Ok(Driver::Smi(_)) | Err(_) => Vec::new(),
    }
}

/// Which GPUs are watched: all, or those named by index or UUID.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    pub devices: Vec<String>,
}

/// A way to the driver. Opening it takes a while; recordings share it.
#[derive(Debug, Clone)]
pub enum Driver {
    Nvml(Arc<Library>),
    Smi(Smi),
}

impl Driver {
    /// The one that the user names, or else the first way that works.
    pub fn find() -> Result<Self, Unavailable> {
        if let Some(smi) = Smi::named() {
            return Self::answering(smi);
        }
        if let Some(library) = Library::named() {
            return library.and_then(Self::telling);
        }
        let no_nvml = match Library::installed().and_then(Self::telling) {
            Ok(driver) => return Ok(driver),
            Err(reason) => reason.0,
        };
        let Some(smi) = Smi::on_search_path() else {
            let reason = format!("{no_nvml}; nvidia-smi is not on the search path either");
            return Err(Unavailable(reason));
        };
        Self::answering(smi).map_err(|no_smi| Unavailable(format!("{no_nvml}; {no_smi}")))
    }

    fn answering(smi: Smi) -> Result<Self, Unavailable> {
        smi.devices().map(|_| Self::Smi(smi))
    }

    fn telling(library: Library) -> Result<Self, Unavailable> {
        library.devices().map(|_| Self::Nvml(Arc::new(library)))
    }

    /// The GPUs with what is free on them now.
    pub fn devices(&self) -> Result<Vec<Device>, Unavailable> {
        match self {
            Self::Nvml(library) => library.devices(),
            Self::Smi(smi) => smi.devices(),
        }
    }

    /// Starts a recording; returns after the first look.
    pub fn record(
        &self,
        selection: &Selection,
        interval: Duration,
    ) -> Result<Recorder, Unavailable> {
        let began_ns = clock::monotonic_ns();
        let running = match self {
            Self::Nvml(library) => {
                Running::Nvml(nvml::Recorder::start(library, selection, interval)?)
            }
            Self::Smi(smi) => Running::Smi(smi::Recorder::start(smi, selection, interval)?),
        };
        Ok(Recorder { running, interval, began_ns })
    }
}

/// A recording that is going on.
#[derive(Debug)]
pub struct Recorder {
    running: Running,
    interval: Duration,
    began_ns: u64,
}

#[derive(Debug)]
enum Running {
    Nvml(nvml::Recorder),
    Smi(smi::Recorder),
}

impl Recorder {
    /// Looks a last time and ends.
    #[must_use]
    pub fn finish(self) -> Recording {
        let asked_ns = clock::monotonic_ns();
        let recorded = match self.running {
            Running::Nvml(recorder) => recorder.finish(),
            Running::Smi(recorder) => recorder.finish(),
        };
        recorded.close(self.interval, self.began_ns, asked_ns)
    }
}
