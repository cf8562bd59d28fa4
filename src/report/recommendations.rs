//! What the author recommends, and whether it stands by the verdicts and claims that it rests on.

use serde::Serialize;

use super::data::Data;
use super::verdicts::Judged;
use crate::manifest::study::{Ground, GroundOf, Recommendation};

/// A recommendation with what has become of its grounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recommended {
    pub name: String,
    pub text: String,
    pub standing: Standing,
    /// A verdict is among the grounds: claims are arithmetic, and no test.
    pub tested: bool,
    pub grounds: Vec<Held>,
}

/// Whether a recommendation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Standing {
    /// Every ground holds.
    #[serde(rename = "stands")]
    Stands,
    /// The data decide against a ground.
    #[serde(rename = "does not stand")]
    Falls,
    #[serde(rename = "not decided")]
    Open,
}

/// A ground and what the data say of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Held {
    /// The hypothesis or the claim.
    pub name: String,
    /// What it must be.
    pub must_be: &'static str,
    /// What it is, with what keeps it from deciding: `supported, post hoc`.
    pub is: String,
    pub holds: bool,
    /// It is the opposite.
    pub broken: bool,
    /// What of the data is to be known beside it.
    pub notes: Vec<String>,
}

pub(super) fn recommended(recommendations: &[Recommendation], data: &Data) -> Vec<Recommended> {
    let one = |own: &Recommendation| {
        let grounds: Vec<Held> = own.grounds.iter().map(|ground| held(ground, data)).collect();
        let standing = if grounds.iter().any(|ground| ground.broken) {
            Standing::Falls
        } else if grounds.iter().all(|ground| ground.holds) {
            Standing::Stands
        } else {
            Standing::Open
        };
        let of_verdict = |ground: &Ground| matches!(ground.of, GroundOf::Hypothesis(_));
        Recommended {
            name: own.name.clone(),
            text: own.text.clone(),
            standing,
            tested: own.grounds.iter().any(of_verdict),
            grounds,
        }
    };
    recommendations.iter().map(one).collect()
}

fn held(ground: &Ground, data: &Data) -> Held {
    let (name, is, decides, notes) = match &ground.of {
        GroundOf::Hypothesis(name) => {
            let mut all = data.hypotheses.iter();
            let own = all.find(|own| {
                own.withdrawn.is_none() && format!("{}/{}", own.experiment, own.name) == *name
            });
            let (is, decides) = own.map_or(("not selected".to_owned(), false), verdict);
            (name, is, decides, Vec::new())
        }
        GroundOf::Claim(name) => {
            let own = data.claims.iter().find(|own| own.name == *name);
            let is = own.map_or("not selected", |own| own.result.name()).to_owned();
            let notes = own.map_or_else(Vec::new, |own| own.notes.clone());
            let decides = own.is_some_and(|own| own.recomputed.is_some());
            (name, is, decides, notes)
        }
    };
    let holds = decides && is == ground.is;
    let broken = decides && !holds;
    Held { name: name.clone(), must_be: ground.is, is, holds, broken, notes }
}

/// A decision that came after the data, or that the correction for several hypotheses does not bear out, decides nothing.
fn verdict(own: &Judged) -> (String, bool) {
    let mut is = own.verdict.to_owned();
    if own.post_hoc.is_some() {
        is.push_str(", post hoc");
    }
    if own.survives == Some(false) {
        is.push_str(", not borne out by the correction for several");
    }
    let decides = own.decided && own.post_hoc.is_none() && own.survives != Some(false);
    (is, decides)
}
