//! The settings of this runtime beyond those that every runtime has, as the manifest names them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

/// How the pieces of an answer reach the decoder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Variant {
    /// Bytes that a piece has, except the last one; `None`: as they are read.
    pub(super) rechunk: Option<usize>,
    /// Pieces are handed over at ticks so far apart; `None`: at once.
    pub(super) batch: Option<Duration>,
}

impl Variant {
    /// Reads the settings; one that is ignored would be reported as if it had been measured.
    pub(crate) fn of(settings: &BTreeMap<String, Value>) -> Result<Self, String> {
        let mut variant = Self::default();
        for (name, value) in settings {
            let wrong = |wanted: &str| format!("{name} must be {wanted}, not {value}");
            match name.as_str() {
                "rechunk" => {
                    let bytes = value.as_u64().filter(|&bytes| bytes > 0);
                    let bytes = bytes.and_then(|bytes| usize::try_from(bytes).ok());
                    variant.rechunk = Some(bytes.ok_or_else(|| wrong("at least 1 byte"))?);
                }
                "batch" => {
                    let seconds = value.as_f64().filter(|&seconds| seconds > 0.0);
                    let interval = seconds.and_then(|s| Duration::try_from_secs_f64(s).ok());
                    let interval = interval.filter(|interval| !interval.is_zero());
                    variant.batch = Some(interval.ok_or_else(|| wrong("more than 0 seconds"))?);
                }
                _ => return Err(format!("this runtime has no setting {name:?}")),
            }
        }
        Ok(variant)
    }
}
