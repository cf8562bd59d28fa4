//! Several criteria as one hypothesis.
//!
//! "All of these" needs every part to hold, each at alpha: an intersection–union test, which needs no
//! correction (Berger, "Multiparameter hypothesis testing and acceptance sampling", Technometrics 24
//! (1982)). To find one of k parts wrong is one of k chances, so a part refutes the whole at alpha ÷ k
//! (Bonferroni). "Any of these" is the same with support and refutation exchanged.

use super::judge::{Question, once};
use super::{Finding, Verdict, words};
use crate::manifest::criterion::Criterion;

pub(super) fn all(question: &Question, parts: &[Criterion]) -> Finding {
    compound(question, parts, Verdict::Supported, Verdict::Refuted, "all parts at alpha")
}

pub(super) fn any(question: &Question, parts: &[Criterion]) -> Finding {
    compound(question, parts, Verdict::Refuted, Verdict::Supported, "any part at alpha ÷ parts")
}

/// `common` is the verdict that needs all parts, `single` the one for which one part is enough.
fn compound(
    question: &Question,
    parts: &[Criterion],
    common: Verdict,
    single: Verdict,
    test: &str,
) -> Finding {
    let at = |alpha: f64| -> Vec<Finding> {
        parts.iter().map(|criterion| once(&Question { criterion, alpha, ..*question })).collect()
    };
    let (plain, strict) = (at(question.alpha), at(question.alpha / parts.len() as f64));
    let names = parts.iter().map(words::criterion).collect();
    combined(names, plain, strict, (common, single), test)
}

/// Parts that were judged at alpha (`plain`) and at alpha ÷ parts (`strict`), as one finding.
pub(super) fn combined(
    names: Vec<String>,
    plain: Vec<Finding>,
    strict: Vec<Finding>,
    (common, single): (Verdict, Verdict),
    test: &str,
) -> Finding {
    let parts = plain.len();
    let open = |finding: &&Finding| finding.verdict == Verdict::NoData;
    let verdict = if strict.iter().any(|part| part.verdict == single) {
        single
    } else if plain.iter().any(|part| part.verdict == Verdict::NoData) {
        Verdict::NoData
    } else if plain.iter().all(|part| part.verdict == common) {
        common
    } else {
        Verdict::Inconclusive
    };
    let reason = match verdict {
        Verdict::NoData => plain.iter().find(open).and_then(|part| part.reason.clone()),
        Verdict::Inconclusive => plain.iter().find_map(|part| part.reason.clone()),
        _ => None,
    };
    // shown as they are judged for the claim's sake
    let p = p(&plain, common, single, verdict);
    let shown = if common == Verdict::Supported { plain } else { strict };
    Finding {
        leaning: verdict.is_decided().then_some(verdict),
        reason,
        test: test.to_owned(),
        quantity: format!("{parts} parts"),
        p,
        n: shown.iter().map(|part| part.n.as_str()).collect::<Vec<_>>().join("; "),
        parts: names.into_iter().zip(shown).collect(),
        ..Finding::new(verdict)
    }
}

/// The largest p where all parts lean to what they have in common, else the smallest p of those that
/// lean the other way, times their chances. Below alpha exactly where the whole is decided.
fn p(parts: &[Finding], common: Verdict, single: Verdict, verdict: Verdict) -> Option<f64> {
    if verdict == Verdict::NoData {
        return None;
    }
    let leaning = |part: &&Finding, to: Verdict| lean(part) == Some(to);
    let against = parts.iter().filter(|part| leaning(part, single)).filter_map(|part| part.p);
    if let Some(smallest) = against.min_by(f64::total_cmp) {
        return Some((smallest * parts.len() as f64).min(1.0));
    }
    if parts.iter().all(|part| leaning(&part, common)) {
        return parts.iter().filter_map(|part| part.p).max_by(f64::total_cmp);
    }
    None
}

/// What a part would say if its interval had no width.
fn lean(part: &Finding) -> Option<Verdict> {
    if part.verdict.is_decided() { Some(part.verdict) } else { part.leaning }
}
