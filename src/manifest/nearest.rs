//! Help with a name that is not known.

/// The known name nearest to an unknown one, if any is near: `did you mean "throttle"?`.
#[must_use]
pub fn nearest<'n>(unknown: &str, known: impl IntoIterator<Item = &'n str>) -> Option<String> {
    known
        .into_iter()
        .map(|name| {
            (strsim::damerau_levenshtein(&unknown.to_lowercase(), &name.to_lowercase()), name)
        })
        .min()
        .filter(|(distance, name)| *distance <= 1 + name.len().max(unknown.len()) / 3)
        .map(|(_, name)| name.to_owned())
}

/// Help for an unknown name: the nearest known one, or all of them when there are few.
#[must_use]
pub fn suggest<'n>(unknown: &str, known: impl IntoIterator<Item = &'n str>) -> Option<String> {
    let known: Vec<&str> = known.into_iter().collect();
    if let Some(name) = nearest(unknown, known.iter().copied()) {
        return Some(format!("did you mean `{name}`?"));
    }
    match known.len() {
        0 => None,
        1..=12 => Some(format!("known here: {}", known.join(", "))),
        _ => Some(format!("known here: {}, …", known[..12].join(", "))),
    }
}
