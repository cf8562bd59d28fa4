//! NVML, the driver's own library: opened at run time, so that the program runs where there is none.
//!
//! Where it is and which GPUs it knows. Asking one of them is left to [`watched`], recording to
//! [`recorder`].

mod recorder;
mod watched;

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;

pub(super) use self::recorder::Recorder;
use super::{Device, Selection};
use crate::probe::sampling::Unavailable;

/// Names the library where it is not where the system looks for libraries.
const OWN: &str = "RUNNER_NVML_LIBRARY";

/// The library.
#[derive(Debug)]
pub struct Library {
    nvml: Nvml,
    /// Where it was named to be.
    path: Option<OsString>,
}

impl Library {
    /// The one that the user names; `None` where none is named.
    pub(super) fn named() -> Option<Result<Self, Unavailable>> {
        let path = env::var_os(OWN).filter(|path| !path.is_empty())?;
        let nvml = Nvml::builder().lib_path(OsStr::new(&path)).init();
        Some(match nvml {
            Ok(nvml) => Ok(Self { nvml, path: Some(path) }),
            Err(error) => Err(unavailable(Some(path.as_os_str()), &error)),
        })
    }

    /// The system's.
    pub(super) fn installed() -> Result<Self, Unavailable> {
        let nvml = Nvml::init().map_err(|error| unavailable(None, &error))?;
        Ok(Self { nvml, path: None })
    }

    /// The GPUs that can be reached, by the driver's count.
    pub fn devices(&self) -> Result<Vec<Device>, Unavailable> {
        Ok(self.look()?.devices)
    }

    /// GPUs that are counted and cannot be asked, each with the reason.
    pub fn unreachable(&self) -> Vec<String> {
        self.look().map(|look| look.unreachable).unwrap_or_default()
    }

    fn look(&self) -> Result<Look, Unavailable> {
        let driver = self.nvml.sys_driver_version().ok();
        let count = self.nvml.device_count().map_err(|error| self.failed(&error))?;
        let mut look = Look { devices: Vec::new(), unreachable: Vec::new() };
        for index in 0..count {
            match self.device(index, driver.as_deref()) {
                Ok(device) => look.devices.push(device),
                // The others work all the same.
                Err(error) => look.unreachable.push(format!("GPU {index}: {}", words(&error))),
            }
        }
        if !look.devices.is_empty() {
            return Ok(look);
        }
        let reason = match &look.unreachable[..] {
            [] => "the driver knows no GPU".to_owned(),
            unreachable => unreachable.join("; "),
        };
        Err(Unavailable(format!("{}: {reason}", self.name())))
    }

    fn device(&self, index: u32, driver: Option<&str>) -> Result<Device, NvmlError> {
        let device = self.nvml.device_by_index(index)?;
        let memory = device.memory_info().ok();
        Ok(Device {
            index,
            uuid: device.uuid().ok(),
            name: device.name()?,
            driver: driver.map(str::to_owned),
            memory_total_bytes: memory.as_ref().map(|memory| memory.total),
            memory_free_bytes: memory.as_ref().map(|memory| memory.free),
        })
    }

    /// Those that are watched: all that can be reached, or those named by index or UUID.
    fn selected(&self, selection: &Selection) -> Result<Look, Unavailable> {
        let all = self.look()?;
        if selection.devices.is_empty() {
            return Ok(all);
        }
        let find = |name: &String| {
            all.devices.iter().find(|device| device.is(name)).cloned().ok_or_else(|| {
                let there = all.devices.iter().map(Device::words);
                let there: Vec<String> = there.chain(all.unreachable.iter().cloned()).collect();
                let there = there.join(", ");
                Unavailable(format!("there is no GPU `{name}` to watch; there are {there}"))
            })
        };
        let devices = selection.devices.iter().map(find).collect::<Result<_, _>>()?;
        Ok(Look { devices, unreachable: Vec::new() })
    }

    fn failed(&self, error: &NvmlError) -> Unavailable {
        unavailable(self.path.as_deref(), error)
    }

    fn name(&self) -> String {
        name(self.path.as_deref())
    }
}

/// What the library knows of its GPUs.
struct Look {
    devices: Vec<Device>,
    /// What else it counts, and why it cannot be reached.
    unreachable: Vec<String>,
}

fn name(path: Option<&OsStr>) -> String {
    path.map_or_else(|| "NVML".to_owned(), |path| format!("NVML ({})", Path::new(path).display()))
}

fn unavailable(path: Option<&OsStr>, error: &NvmlError) -> Unavailable {
    let reason = match error {
        NvmlError::LibloadingError(_) if path.is_none() => {
            "there is no NVIDIA driver library".to_owned()
        }
        NvmlError::LibloadingError(error) => error.to_string(),
        NvmlError::FailedToLoadSymbol(_) => "the library is not NVIDIA's".to_owned(),
        error => words(error),
    };
    Unavailable(format!("{}: {reason}", name(path)))
}

fn words(error: &NvmlError) -> String {
    match error {
        NvmlError::NotSupported => "this GPU or its driver does not tell it".to_owned(),
        // Whose own words name the place of the library.
        NvmlError::FailedToLoadSymbol(_) => {
            "this version of the driver does not tell it".to_owned()
        }
        NvmlError::NoPermission => "this user may not ask for it".to_owned(),
        NvmlError::GpuLost => "the GPU is lost: it fell off the bus".to_owned(),
        error => error.to_string(),
    }
}
