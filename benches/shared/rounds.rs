//! Two sides of a comparison, measured in turn.

/// Seconds of the two sides, round by round.
#[derive(Default)]
pub(crate) struct Rounds {
    pub(crate) own: Vec<f64>,
    pub(crate) other: Vec<f64>,
}

impl Rounds {
    /// Prints the median of each side, and the ratio of each round's pair: median, lowest, highest.
    pub(crate) fn print(&mut self, case: &str, other: &str) {
        let mut ratios: Vec<f64> = self.own.iter().zip(&self.other).map(|(own, other)| own / other).collect();
        for list in [&mut self.own, &mut self.other, &mut ratios] {
            list.sort_by(f64::total_cmp);
        }
        let median = |list: &[f64]| list[list.len() / 2];
        println!(
            "{case:<44} {:>8.4} s  {other:<13} {:>8.4} s   ratio {:>5.2}  [{:.2}-{:.2}]",
            median(&self.own),
            median(&self.other),
            median(&ratios),
            ratios[0],
            ratios[ratios.len() - 1],
        );
    }
}
