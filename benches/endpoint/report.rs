//! Measures, and how they are printed.

use std::time::Instant;

use super::client::Unable;
use super::server::Server;

/// What one case took, once.
#[derive(Debug, Clone)]
pub(crate) struct Measure {
    seconds: f64,
    cpu: Option<f64>,
    extras: Vec<(&'static str, f64)>,
}

impl Measure {
    /// A measure without a server.
    pub(crate) fn of(seconds: f64) -> Self {
        Self { seconds, cpu: None, extras: Vec::new() }
    }

    /// Adds a number of its own, with its unit.
    pub(crate) fn with(mut self, unit: &'static str, value: impl Into<Option<f64>>) -> Self {
        self.extras.extend(value.into().map(|value| (unit, value)));
        self
    }

    /// Returns the measure of one of so many equal parts.
    pub(crate) fn each(mut self, count: usize) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let count = count as f64;
        self.seconds /= count;
        self.cpu = self.cpu.map(|cpu| cpu / count);
        self
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.seconds
    }
}

/// Runs from its making on.
pub(crate) struct Clock<'a> {
    server: &'a Server,
    cpu: Option<f64>,
    start: Instant,
}

impl<'a> Clock<'a> {
    pub(crate) fn start(server: &'a Server) -> Self {
        Self { server, cpu: server.cpu(), start: Instant::now() }
    }

    pub(crate) fn stop(self) -> Measure {
        let seconds = self.start.elapsed().as_secs_f64();
        let cpu = self.server.cpu().zip(self.cpu).map(|(end, start)| end - start);
        Measure { seconds, cpu, extras: Vec::new() }
    }
}

/// The measures of one server in one case, round by round.
#[derive(Debug, Default)]
pub(crate) struct Rounds {
    measures: Vec<Measure>,
    unable: Option<Unable>,
}

impl Rounds {
    /// Takes what came of a round. A server that was unable once has no numbers.
    pub(crate) fn take(&mut self, measured: Result<Measure, Unable>) {
        match measured {
            Ok(measure) => self.measures.push(measure),
            Err(unable) => self.unable = Some(unable),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.measures.is_empty()
    }

    /// Returns a line: medians, and, beside the first server, the ratio of times as median, lowest, highest.
    pub(crate) fn line(&self, name: &str, first: Option<&Self>) -> String {
        if let Some(unable) = &self.unable {
            return format!("  {name:<10} —  ({unable})");
        }
        let list = |value: fn(&Measure) -> f64| self.measures.iter().map(value).collect::<Vec<_>>();
        let mut line = format!("  {name:<10} {:>9}", time(middle(list(Measure::seconds))));
        let cpu: Vec<f64> = self.measures.iter().filter_map(|measure| measure.cpu).collect();
        line += &if cpu.is_empty() { " ".repeat(15) } else { format!("  cpu {:>9}", time(middle(cpu))) };
        line += &first.and_then(|first| self.ratio(first)).unwrap_or_else(|| " ".repeat(29));
        for (at, (unit, _)) in self.measures.first().map_or(&[][..], |first| &first.extras).iter().enumerate() {
            let values = self.measures.iter().filter_map(|measure| measure.extras.get(at)).map(|extra| extra.1);
            line += &format!("  {:.1} {unit}", middle(values.collect()));
        }
        line.trim_end().to_owned()
    }

    fn ratio(&self, first: &Self) -> Option<String> {
        if first.unable.is_some() {
            return None;
        }
        let mut ratios: Vec<f64> =
            self.measures.iter().zip(&first.measures).map(|(own, first)| own.seconds / first.seconds).collect();
        ratios.sort_by(f64::total_cmp);
        let (low, high) = (ratios.first()?, ratios.last()?);
        Some(format!("  ×{:<6.2} {:<18}", ratios[ratios.len() / 2], format!("[{low:.2}–{high:.2}]")))
    }
}

fn middle(mut list: Vec<f64>) -> f64 {
    list.sort_by(f64::total_cmp);
    list.get(list.len() / 2).copied().unwrap_or(f64::NAN)
}

fn time(seconds: f64) -> String {
    match seconds {
        s if s < 0.001 => format!("{:.1} µs", s * 1e6),
        s if s < 1.0 => format!("{:.1} ms", s * 1e3),
        s => format!("{s:.2} s"),
    }
}
