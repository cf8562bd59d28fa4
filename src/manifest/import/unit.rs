//! Units of figures in files, and what they are in others.

/// What is measured; units of one kind are converted into each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Time,
    Size,
    Rate,
    Power,
    Energy,
    Share,
}

/// A unit: its spellings, and how many of the smallest of its kind it has.
struct Unit {
    spellings: &'static [&'static str],
    kind: Kind,
    size: f64,
}

const UNITS: [Unit; 21] = [
    Unit { spellings: &["ns"], kind: Kind::Time, size: 1.0 },
    Unit { spellings: &["us", "µs", "μs"], kind: Kind::Time, size: 1e3 },
    Unit { spellings: &["ms"], kind: Kind::Time, size: 1e6 },
    Unit { spellings: &["s"], kind: Kind::Time, size: 1e9 },
    Unit { spellings: &["min"], kind: Kind::Time, size: 6e10 },
    Unit { spellings: &["h"], kind: Kind::Time, size: 3.6e12 },
    Unit { spellings: &["B"], kind: Kind::Size, size: 1.0 },
    Unit { spellings: &["kB", "KB"], kind: Kind::Size, size: 1e3 },
    Unit { spellings: &["MB"], kind: Kind::Size, size: 1e6 },
    Unit { spellings: &["GB"], kind: Kind::Size, size: 1e9 },
    Unit { spellings: &["KiB"], kind: Kind::Size, size: 1024.0 },
    Unit { spellings: &["MiB"], kind: Kind::Size, size: 1_048_576.0 },
    Unit { spellings: &["GiB"], kind: Kind::Size, size: 1_073_741_824.0 },
    Unit { spellings: &["tok/s", "tokens/s", "tps"], kind: Kind::Rate, size: 1.0 },
    Unit { spellings: &["mW"], kind: Kind::Power, size: 1.0 },
    Unit { spellings: &["W"], kind: Kind::Power, size: 1e3 },
    Unit { spellings: &["kW"], kind: Kind::Power, size: 1e6 },
    Unit { spellings: &["J"], kind: Kind::Energy, size: 1.0 },
    Unit { spellings: &["Wh"], kind: Kind::Energy, size: 3.6e3 },
    Unit { spellings: &["kWh"], kind: Kind::Energy, size: 3.6e6 },
    Unit { spellings: &["%", "pp"], kind: Kind::Share, size: 1.0 },
];

fn lookup(name: &str) -> Option<&'static Unit> {
    UNITS.iter().find(|unit| unit.spellings.contains(&name))
}

/// A number of one unit in another; `None`: there is no way from one to the other.
#[must_use]
pub fn convert(number: f64, from: &str, to: &str) -> Option<f64> {
    if from == to {
        return Some(number);
    }
    let (from, to) = (lookup(from)?, lookup(to)?);
    if from.kind != to.kind {
        return None;
    }
    // Multiplied or divided by a whole number, which loses no more than one rounding.
    Some(if from.size >= to.size {
        number * (from.size / to.size)
    } else {
        number / (to.size / from.size)
    })
}

/// The units that a figure in this unit may stand in, in words.
#[must_use]
pub fn like(unit: &str) -> String {
    let Some(own) = lookup(unit) else { return unit.to_owned() };
    let same = UNITS.iter().filter(|other| other.kind == own.kind);
    same.filter_map(|other| other.spellings.first().copied()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_of_one_kind_are_converted() {
        assert_eq!(convert(1.5, "s", "ms"), Some(1500.0));
        assert_eq!(convert(2_500_000.0, "ns", "ms"), Some(2.5));
        assert_eq!(convert(1.0, "MiB", "MB"), Some(1.048_576));
        assert_eq!(convert(53.51, "W", "W"), Some(53.51));
        assert_eq!(convert(7.0, "files", "files"), Some(7.0));
        assert_eq!(convert(1.0, "s", "W"), None);
        assert_eq!(convert(1.0, "files", "calls"), None);
    }
}
