//! The report as JUnit has it: a suite for each spec, a case for each item and for the sources.

use std::fmt::{self, Write};

use super::item::{Item, Outcome};
use super::report::{Report, Sources};
use crate::cli::Exit;
use crate::cli::failure::Failure;

/// What a case came to.
enum Verdict<'a> {
    Passed,
    /// The build failed.
    Failure(&'a Failure),
    /// Anything else did.
    Error(&'a Failure),
    Skipped,
}

struct Case<'a> {
    suite: &'a str,
    name: String,
    seconds: f64,
    verdict: Verdict<'a>,
}

/// Returns the report as a document of JUnit.
pub(super) fn junit(report: &Report) -> String {
    let items = report.items.iter().map(Case::of_item);
    let cases: Vec<Case> = items.chain(report.sources.iter().map(Case::of_sources)).collect();
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
    let mut add = || -> fmt::Result {
        let counted = Counted { cases: &cases.iter().collect::<Vec<_>>(), seconds: report.elapsed().as_secs_f64() };
        writeln!(text, "<testsuites name=\"envserve prefill\"{counted}>")?;
        for suite in suites(&cases) {
            let seconds = suite.iter().map(|case| case.seconds).sum();
            let counted = Counted { cases: &suite, seconds };
            writeln!(text, "  <testsuite name=\"{}\"{counted}>", Escaped(suite[0].suite))?;
            suite.iter().try_for_each(|case| write!(text, "{case}"))?;
            writeln!(text, "  </testsuite>")?;
        }
        writeln!(text, "</testsuites>")
    };
    add().expect("writing to a String cannot fail");
    text
}

/// Returns the cases of each suite, in the order in which the suites begin.
fn suites<'a>(cases: &'a [Case<'a>]) -> Vec<Vec<&'a Case<'a>>> {
    let mut suites: Vec<Vec<&Case>> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for case in cases {
        let place = *places.entry(case.suite).or_insert(suites.len());
        if place == suites.len() {
            suites.push(Vec::new());
        }
        suites[place].push(case);
    }
    suites
}

impl<'a> Case<'a> {
    fn of_item(item: &'a Item) -> Self {
        let verdict = match (item.outcome, &item.error) {
            (Outcome::Unfinished, _) => Verdict::Skipped,
            (_, Some(failure)) => Verdict::of(failure),
            (_, None) => Verdict::Passed,
        };
        let seconds = std::time::Duration::from_millis(item.duration_ms.unwrap_or(0)).as_secs_f64();
        Self { suite: &item.spec, name: item.to_string(), seconds, verdict }
    }

    fn of_sources(sources: &'a Sources) -> Self {
        let verdict = sources.error.as_ref().map_or(Verdict::Passed, Verdict::of);
        Self { suite: &sources.spec, name: "sources".to_owned(), seconds: 0.0, verdict }
    }
}

impl<'a> Verdict<'a> {
    fn of(failure: &'a Failure) -> Self {
        if failure.class == Exit::BuildFailed.class() { Self::Failure(failure) } else { Self::Error(failure) }
    }
}

impl fmt::Display for Case<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (suite, name) = (Escaped(self.suite), Escaped(&self.name));
        write!(f, "    <testcase classname=\"{suite}\" name=\"{name}\" time=\"{:.3}\"", self.seconds)?;
        let (element, failure) = match self.verdict {
            Verdict::Passed => return writeln!(f, "/>"),
            Verdict::Skipped => return writeln!(f, "><skipped message=\"not reached\"/></testcase>"),
            Verdict::Failure(failure) => ("failure", failure),
            Verdict::Error(failure) => ("error", failure),
        };
        let (message, text) = (Escaped(&failure.message), failure.to_string());
        write!(f, "><{element} type=\"{}\" message=\"{message}\">", failure.class)?;
        writeln!(f, "{}</{element}></testcase>", Escaped(&text))
    }
}

/// The attributes that count cases.
struct Counted<'a> {
    cases: &'a [&'a Case<'a>],
    seconds: f64,
}

impl fmt::Display for Counted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |of: fn(&Verdict) -> bool| self.cases.iter().filter(|case| of(&case.verdict)).count();
        let failures = count(|verdict| matches!(verdict, Verdict::Failure(_)));
        let errors = count(|verdict| matches!(verdict, Verdict::Error(_)));
        let skipped = count(|verdict| matches!(verdict, Verdict::Skipped));
        let (tests, seconds) = (self.cases.len(), self.seconds);
        write!(f, " tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\"")?;
        write!(f, " time=\"{seconds:.3}\"")
    }
}

/// Text within XML. Characters that XML cannot hold are replaced.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\t' | '\n' | '\r' => write!(f, "&#{};", u32::from(character)),
            '\0'..' ' | '\u{fffe}' | '\u{ffff}' => f.write_char(char::REPLACEMENT_CHARACTER),
            other => f.write_char(other),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_what_xml_can_hold() {
        let escaped = Escaped("a<b>&\"'\n\u{1b}[31m\0é\u{ffff}").to_string();
        assert_eq!(escaped, "a&lt;b&gt;&amp;&quot;'&#10;\u{fffd}[31m\u{fffd}é\u{fffd}");
    }
}
