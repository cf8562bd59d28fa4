//! Whether two quantities go together.

use super::ranks::ranks;
use super::sample::ROUNDING;
use super::{Interval, Sample, Undefined, checked, normal, student};

/// A coefficient of correlation over n ≥ 3 pairs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Correlation {
    /// From −1 to 1.
    pub value: f64,
    /// Pairs, less one for each mean that was taken out of them beyond the first.
    pub n: usize,
    /// Variance of its Fisher transform times n − 3.
    variance: f64,
}

/// Pearson's product-moment correlation of pairs, given in the same order on both sides.
pub fn pearson(x: &Sample, y: &Sample) -> Result<Correlation, Undefined> {
    if x.n() != y.n() {
        return Err(Undefined::Unpaired { left: x.n(), right: y.n() });
    }
    Undefined::unless(x, 3)?;
    if !x.varies() || !y.varies() {
        return Err(Undefined::NoSpread);
    }
    let unit = |sample: &Sample| {
        let mean = sample.mean();
        let deviations: Vec<f64> = sample.values().iter().map(|value| value - mean).collect();
        let largest = deviations.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
        let scaled: Vec<f64> = deviations.iter().map(|value| value / largest).collect();
        let length = scaled.iter().map(|value| value * value).sum::<f64>().sqrt();
        scaled.into_iter().map(move |value| value / length)
    };
    let value: f64 = unit(x).zip(unit(y)).map(|(x, y)| x * y).sum();
    Ok(Correlation { value: value.clamp(-1.0, 1.0), n: x.n(), variance: 1.0 })
}

/// Spearman's rank correlation: Pearson's of the ranks, ties sharing their mean rank. Its interval uses
/// the variance of Bonett & Wright, "Sample size requirements for estimating Pearson, Kendall and
/// Spearman correlations", Psychometrika 65 (2000).
pub fn spearman(x: &Sample, y: &Sample) -> Result<Correlation, Undefined> {
    let of_ranks = |sample: &Sample| {
        Sample::new(ranks(sample.values()).0).map_err(|_| Undefined::OutOfRange { what: "a rank" })
    };
    let pearson = pearson(&of_ranks(x)?, &of_ranks(y)?)?;
    Ok(Correlation { variance: 1.0 + pearson.value * pearson.value / 2.0, ..pearson })
}

impl Correlation {
    /// Of pairs from which the means of so many groups were taken, in place of one mean: each further one
    /// costs a pair.
    #[must_use]
    pub fn within(self, groups: usize) -> Self {
        Self { n: self.n.saturating_sub(groups.saturating_sub(1)), ..self }
    }

    /// A rank correlation of n pairs that is 1 or −1 as the next that there can be, in which two neighbours have
    /// changed places: that of the ranks is exact by chance, and has no error of its own.
    #[must_use]
    pub fn short_of_exact(self) -> Self {
        let n = self.n.max(2) as f64;
        let most = 1.0 - 12.0 / (n * (n * n - 1.0));
        Self { value: self.value.clamp(-most, most), ..self }
    }

    /// Two-sided p of no correlation, by t(n − 2) = r · √((n − 2) ÷ (1 − r²)).
    #[must_use]
    pub fn p_of_none(&self) -> f64 {
        let freedom = self.n.saturating_sub(2) as f64;
        let rest = (1.0 - self.value) * (1.0 + self.value);
        student::two_sided(self.value * (freedom / rest).sqrt(), freedom)
    }

    /// Fisher's interval: artanh r ± z ÷ √(n − 3) ("On the 'probable error' of a coefficient of
    /// correlation", Metron 1 (1921)).
    pub fn interval(&self, level: f64) -> Result<Interval, Undefined> {
        let level = checked(level)?;
        let (center, error) = self.transformed()?;
        let half = normal::quantile(0.5 + level / 2.0) * error;
        Ok(Interval { low: (center - half).tanh(), high: (center + half).tanh() })
    }

    /// Two-sided p of the hypothesis that the true correlation is `bound`, on the same scale as the
    /// interval: it is below 1 − level exactly when `bound` lies outside.
    pub fn p(&self, bound: f64) -> Result<f64, Undefined> {
        if bound.is_nan() || bound.abs() >= 1.0 {
            return Err(Undefined::OutOfRange { what: "the bound of a correlation" });
        }
        let (center, error) = self.transformed()?;
        Ok(2.0 * normal::above(((center - bound.atanh()) / error).abs()))
    }

    /// artanh r and its standard error.
    fn transformed(&self) -> Result<(f64, f64), Undefined> {
        if self.n < 4 {
            return Err(Undefined::TooFew { needed: 4, found: self.n });
        }
        if 1.0 - self.value.abs() <= ROUNDING {
            return Err(Undefined::Exact);
        }
        Ok((self.value.atanh(), (self.variance / (self.n - 3) as f64).sqrt()))
    }
}
