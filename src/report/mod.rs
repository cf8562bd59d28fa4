//! Reports with figures, cell pages and tables from what is stored, again and again, without running
//! anything.
//!
//! Every number in a report comes from stored runs: names that do not exist, empty selections and
//! missing or stale runs are errors. Reads no clock and asks no server; writing files and finding
//! templates is left to `cli`.

mod answers;
mod ceiling;
mod cell_table;
mod collect;
pub mod comparison;
mod completeness;
mod context;
mod controls;
pub mod data;
mod deliverables;
mod escape;
mod fallbacks;
mod figure;
mod flamegraphs;
pub mod format;
mod functions;
mod html;
mod illustrate;
mod imports;
mod machine_load;
mod mark;
mod order;
mod outliers;
mod placement;
mod probes;
mod recommendations;
mod render;
mod select;
pub mod sets;
mod setup;
pub mod tidy;
mod tokenizers;
mod verdicts;
mod witness;

#[cfg(test)]
mod tests;

pub use collect::{collect, power};
pub use completeness::{Missing, Stale};
pub use data::Data;
pub use fallbacks::{Settled, settled};
pub use figure::Figure;
pub use render::{GENERAL, RenderError, Report, Template, TemplateError, cells, json, study};
pub use verdicts::{Judged, Part, PlannedHypothesis};
