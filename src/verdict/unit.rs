//! Units of published numbers against those of metrics.

/// Units that measure the same, with their size.
const KINDS: [&[(&str, f64)]; 4] = [
    &[
        ("ns", 1e-9),
        ("µs", 1e-6),
        ("us", 1e-6),
        ("ms", 1e-3),
        ("s", 1.0),
        ("min", 60.0),
        ("h", 3600.0),
    ],
    &[
        ("B", 1e-6),
        ("kB", 1e-3),
        ("MB", 1.0),
        ("GB", 1e3),
        ("KiB", 1.024e-3),
        ("MiB", 1.048_576),
        ("GiB", 1_073.741_824),
    ],
    &[("tok/s", 1.0), ("tokens/s", 1.0), ("tok/min", 1.0 / 60.0)],
    // of a rate: the share, and its hundredths
    &[("%", 1.0), ("1", 100.0)],
];

/// The factor that turns a number in `from` into one in `to`; `None` where they measure different
/// things.
pub(super) fn factor(from: &str, to: &str) -> Option<f64> {
    if from == to {
        return Some(1.0);
    }
    KINDS.iter().find_map(|kind| {
        let size = |unit: &str| kind.iter().find(|(name, _)| *name == unit).map(|(_, size)| *size);
        Some(size(from)? / size(to)?)
    })
}

/// Units that a number in `unit` may be published in.
pub(super) fn alike(unit: &str) -> Vec<&str> {
    let kind = KINDS.iter().find(|kind| kind.iter().any(|(name, _)| *name == unit));
    kind.map_or_else(|| vec![unit], |kind| kind.iter().map(|(name, _)| *name).collect())
}
