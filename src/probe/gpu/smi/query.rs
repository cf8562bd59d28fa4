//! The fields that `nvidia-smi` is asked for, and which others stand in for those that a version of the
//! program does not know.

use std::collections::BTreeMap;

use super::rows::Rows;
use crate::probe::gpu::Selection;

/// Column → the fields that can fill it, the best first.
const FIELDS: [(&str, &[&str]); 8] = [
    ("power_w", &["power.draw.instant", "power.draw"]),
    ("sm_percent", &["utilization.gpu"]),
    ("memory_percent", &["utilization.memory"]),
    ("memory_used_mb", &["memory.used"]),
    ("temperature_c", &["temperature.gpu"]),
    ("sm_clock_mhz", &["clocks.current.sm"]),
    ("memory_clock_mhz", &["clocks.current.memory"]),
    ("throttle_reasons", &["clocks_event_reasons.active", "clocks_throttle_reasons.active"]),
];

/// What is asked for.
#[derive(Debug, Clone)]
pub(super) struct Query {
    pub selection: Selection,
    /// Column, the field that fills it, and what is left to try.
    columns: Vec<(&'static str, &'static [&'static str])>,
    /// Columns that no field fills, and why.
    pub refused: BTreeMap<String, String>,
}

impl Query {
    pub fn new(selection: Selection) -> Self {
        let not_told = "nvidia-smi's queries do not offer it";
        let refused = ["energy_j", "pcie_rx_mb_per_s", "pcie_tx_mb_per_s"]
            .map(|column| (column.to_owned(), not_told.to_owned()));
        Self { selection, columns: FIELDS.to_vec(), refused: refused.into() }
    }

    /// For `--query-gpu`.
    pub fn fields(&self) -> String {
        let fields = self.columns.iter().filter_map(|(_, fields)| fields.first().copied());
        ["index"].into_iter().chain(fields).collect::<Vec<_>>().join(",")
    }

    /// The columns in the order of their cells, which come after the index.
    pub fn columns(&self) -> impl ExactSizeIterator<Item = &'static str> {
        self.columns.iter().map(|(column, _)| *column)
    }

    /// Whether power is the driver's mean by the field that is asked for.
    pub fn averages_power(&self) -> bool {
        self.columns.iter().any(|(_, fields)| fields.first() == Some(&"power.draw"))
    }

    /// Does without a field that the program does not know.
    pub fn give_up(&mut self, field: &str) -> bool {
        let Some(place) =
            self.columns.iter().position(|(_, fields)| fields.first() == Some(&field))
        else {
            return false;
        };
        let (column, fields) = &mut self.columns[place];
        *fields = &fields[1..];
        if fields.is_empty() {
            let reason = format!("this nvidia-smi knows no field `{field}`");
            self.refused.insert((*column).to_owned(), reason);
            self.columns.remove(place);
        }
        true
    }

    /// Takes the next field for columns of which no row knows anything; whether there was one.
    pub fn replace_unknown(&mut self, rows: &Rows) -> bool {
        let mut replaced = false;
        for (column, fields) in &mut self.columns {
            if rows.hides(column) && fields.len() > 1 {
                *fields = &fields[1..];
                replaced = true;
            }
        }
        replaced
    }
}

/// `Field "x" is not a valid field to query.`
pub(super) fn refused_field(said: &str) -> Option<&str> {
    let (_, rest) = said.split_once("Field \"")?;
    let (field, rest) = rest.split_once('"')?;
    rest.contains("not a valid field").then_some(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_a_version_does_not_know_are_replaced_or_left_out() {
        let refusal = "Field \"clocks_event_reasons.active\" is not a valid field to query.";
        let mut query = Query::new(Selection::default());
        assert!(query.give_up(refused_field(refusal).unwrap()));
        assert!(query.fields().ends_with(",clocks_throttle_reasons.active"));
        assert!(query.give_up("clocks_throttle_reasons.active"));
        assert!(query.refused["throttle_reasons"].contains("clocks_throttle_reasons"));
        assert!(!query.give_up("index"), "without it there is nothing to read");
    }
}
