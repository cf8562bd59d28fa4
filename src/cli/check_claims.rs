//! `runner check-claims`: published numbers against stored runs.

use std::fmt::Write as _;

use super::report::load;
use super::{CommandResult, Failure, StudyArgs, exit, output};
use crate::verdict::{Checked, Relation, Reproduction};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub study: StudyArgs,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> CommandResult {
    let plan = args.study.plan()?;
    if plan.study().claims.is_empty() {
        let message = format!("{} has no [claim.NAME]", args.study.manifest.display());
        let help = "a claim is a published number: value, metric, tolerance, source";
        return Err(Failure::new(exit::USAGE, message, Some(help)));
    }
    let (data, _) = load(&args.study, &plan)?;
    let text = if args.json { output::json(&data.claims)? } else { list(&data.claims) };
    output::print(&text)?;
    let contradicted = data.claims.iter().any(|one| one.result == Reproduction::Contradicted);
    Ok(if contradicted { exit::VERIFICATION_FAILED } else { exit::DONE })
}

fn list(claims: &[Checked]) -> String {
    let mut text = String::new();
    for claim in claims {
        let Checked { name, published, unit, quantity, source, .. } = claim;
        let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
        let _ = write!(text, "{}: {name}: {quantity}: ", claim.result.name());
        let sign = match claim.relation {
            Relation::Equal => String::new(),
            bound => format!("{} ", bound.sign()),
        };
        let _ = write!(text, "{sign}{published}{unit} published ({source})");
        if let Some(recomputed) = claim.recomputed {
            let Checked { runs, cells, allowed, .. } = claim;
            let _ = write!(text, ", {recomputed}{unit} from {runs} run(s) of {cells} cell(s)");
            if claim.relation == Relation::Equal {
                let _ = write!(text, ", {allowed}{unit} allowed");
            }
        }
        for why in claim.reason.iter().chain(&claim.notes) {
            let _ = write!(text, "; {why}");
        }
        text.push('\n');
    }
    let count = |wanted| claims.iter().filter(|claim| claim.result == wanted).count();
    let _ = writeln!(
        text,
        "{} reproduced, {} contradicted, {} without data",
        count(Reproduction::Reproduced),
        count(Reproduction::Contradicted),
        count(Reproduction::NoData)
    );
    text
}
