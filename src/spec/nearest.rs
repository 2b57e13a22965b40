//! The known name that someone who wrote an unknown one most likely meant.

/// Names longer than this are compared with nothing: the comparison is quadratic.
const LONGEST: usize = 100;

/// Returns the nearest of the known names, if one is near enough to be meant.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let limit = (name.chars().count() / 3).max(1);
    by_distance(name, known)
        .into_iter()
        .next()
        .filter(|(distance, _)| *distance <= limit)
        .map(|(_, found)| found.into())
}

/// Returns up to `count` of the known names, the nearest first.
pub(crate) fn nearest_few<'a>(name: &str, known: impl IntoIterator<Item = &'a str>, count: usize) -> Vec<String> {
    by_distance(name, known).into_iter().take(count).map(|(_, found)| found.to_owned()).collect()
}

fn by_distance<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<(usize, &'a str)> {
    let distance = |other: &str| {
        if name.len() > LONGEST || other.len() > LONGEST { usize::MAX } else { strsim::osa_distance(name, other) }
    };
    let mut names: Vec<_> = known.into_iter().map(|other| (distance(other), other)).collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_a_stranger_is_not() {
        assert_eq!(nearest("comit", ["branch", "commit"]).as_deref(), Some("commit"));
        assert_eq!(nearest("colour", ["branch", "commit"]), None);
        assert_eq!(nearest("", ["a"]).as_deref(), Some("a"));
    }

    #[test]
    fn over_long_names_are_not_compared() {
        let long = "x".repeat(1 << 20);
        assert_eq!(nearest(&long, [long.as_str()]), None);
    }
}
