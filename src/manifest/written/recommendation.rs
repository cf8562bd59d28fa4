//! Recommendations as they are written.

use schemars::JsonSchema;
use serde::Deserialize;

/// What the author recommends, and the verdicts and claims that it rests on.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recommendation {
    /// The author's sentence.
    pub text: String,
    /// All of these must hold; where one does not, the report says that the recommendation does not stand, and why.
    pub rests_on: Vec<Ground>,
}

/// A verdict or a claim, and what it must be.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ground {
    /// `EXPERIMENT/HYPOTHESIS`.
    pub hypothesis: Option<String>,
    /// In place of a hypothesis: the name of a claim.
    pub claim: Option<String>,
    /// supported (default) or refuted; of a claim reproduced (default) or contradicted.
    pub is: Option<String>,
}
