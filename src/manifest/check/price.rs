//! Checks of prices: amounts that can be multiplied.

use crate::manifest::problem::Problems;
use crate::manifest::source::At;
use crate::manifest::study::Price;
use crate::manifest::written::{self, Manifest};

/// The study's price, or as a whole that of the selected profile. Those of all profiles are checked.
pub(super) fn price(
    written: &Manifest,
    profile: Option<&str>,
    problems: &mut Problems<'_>,
) -> Price {
    let mut price = one(&At::ROOT.key("price"), written.price, problems).unwrap_or_default();
    let at_profiles = At::ROOT.key("profile");
    for (name, overlay) in &written.profile {
        let own = one(&at_profiles.key(name).key("price"), overlay.price, problems);
        if profile == Some(name.as_str()) {
            price = own.unwrap_or(price);
        }
    }
    price
}

fn one(at: &At<'_>, written: Option<written::Price>, problems: &mut Problems<'_>) -> Option<Price> {
    let written::Price { usd_per_hour, usd_per_kwh } = written?;
    for (key, amount) in [("usd_per_hour", usd_per_hour), ("usd_per_kwh", usd_per_kwh)] {
        if amount.is_some_and(|amount| !amount.is_finite() || amount < 0.0) {
            problems.value(&at.key(key), "a price must be a number from 0 on", None);
        }
    }
    Some(Price { usd_per_hour, usd_per_kwh })
}
