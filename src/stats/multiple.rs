//! Several tests at once.

/// Adjusted p in the order of the given: below α exactly for those that Holm's step-down procedure
/// rejects at α, whatever the dependence between the tests. The chance of any false rejection among
/// them is then at most α.
///
/// Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics
/// 6 (1979).
#[must_use]
pub fn holm(raw: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..raw.len()).collect();
    order.sort_by(|a, b| raw[*a].total_cmp(&raw[*b]));
    let mut adjusted = vec![1.0; raw.len()];
    let mut largest = 0.0_f64;
    for (place, index) in order.into_iter().enumerate() {
        largest = largest.max((raw.len() - place) as f64 * raw[index]).min(1.0);
        adjusted[index] = largest;
    }
    adjusted
}

/// Adjusted p in the order of the given: below q exactly for those that the step-up procedure rejects at
/// q. Of what is rejected at most a share of q is then expected to be false, for tests that are
/// independent or positively dependent; where no difference is real, the chance of any rejection is at
/// most q.
///
/// Benjamini & Hochberg, "Controlling the false discovery rate: a practical and powerful approach to
/// multiple testing", Journal of the Royal Statistical Society B 57 (1995); positive dependence:
/// Benjamini & Yekutieli, Annals of Statistics 29 (2001).
#[must_use]
pub fn benjamini_hochberg(raw: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..raw.len()).collect();
    order.sort_by(|a, b| raw[*b].total_cmp(&raw[*a]));
    let mut adjusted = vec![1.0; raw.len()];
    let mut smallest = 1.0_f64;
    for (place, index) in order.into_iter().enumerate() {
        let rank = raw.len() - place;
        smallest = smallest.min(raw[index] * raw.len() as f64 / rank as f64);
        adjusted[index] = smallest;
    }
    adjusted
}
