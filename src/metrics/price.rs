//! What a run's work costs at a declared price. Computed when a table is made: a price is no
//! measurement, and a new one changes no run.

use super::ratio;
use super::run::named;
use crate::manifest::study::Price;
use crate::store::record::Metrics;

const SECONDS_PER_HOUR: f64 = 3600.0;
const JOULES_PER_KWH: f64 = 3.6e6;

/// The metrics of a run at a price; none without a price.
#[must_use]
pub fn at_price(run: &Metrics, price: Price) -> Metrics {
    if price == Price::default() {
        return Metrics::new();
    }
    named([("usd_per_million_tokens", usd_per_million_tokens(run, price))])
}

/// Unknown as soon as a part of it is.
fn usd_per_million_tokens(run: &Metrics, price: Price) -> Option<f64> {
    let known = |name: &str| run.get(name).copied().flatten();
    let mut usd = 0.0;
    if let Some(per_hour) = price.usd_per_hour {
        usd += per_hour * known("wall_ms")? / 1e3 / SECONDS_PER_HOUR;
    }
    if let Some(per_kwh) = price.usd_per_kwh {
        usd += per_kwh * known("gpu_energy_j")? / JOULES_PER_KWH;
    }
    ratio(1e6 * usd, known("tokens")?)
}
