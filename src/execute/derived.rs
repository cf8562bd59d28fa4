//! Files that are derived from an agent's artifacts before a run is sealed, so that people and figures
//! need no program to read them. Metrics are computed from the artifacts, never from these.

use std::path::Path;

use formats::protocol::{AgentRecord, LOOP_LAG_FILE};

use super::ExecError;
use super::fault::AttemptFault;
use crate::metrics::lag;
use crate::os::files;

/// Loop lag in windows of 100 ms beside the chunks taken in them; its header is that of
/// [`lag::LagWindow`].
pub const LAG_WINDOWS_FILE: &str = "loop_lag_windows.csv";

/// Writes the windows of the loop-lag probe, if it ran. The inner error is the agent's doing, the outer
/// one that nothing can be stored.
pub fn write(folder: &Path, record: &AgentRecord) -> Result<Result<(), AttemptFault>, ExecError> {
    let samples = match lag::read(&folder.join(LOOP_LAG_FILE)) {
        Ok(Some(samples)) => samples,
        Ok(None) => return Ok(Ok(())),
        Err(error) => return Ok(Err(error.into())),
    };
    let path = folder.join(LAG_WINDOWS_FILE);
    let failed = |error: csv::Error| ExecError::csv(&path, error);
    let mut table =
        csv::Writer::from_writer(files::create(&path).map_err(|error| failed(error.into()))?);
    for window in lag::windows(record, &samples) {
        table.serialize(window).map_err(failed)?;
    }
    table.flush().map_err(|error| failed(error.into()))?;
    Ok(Ok(()))
}
