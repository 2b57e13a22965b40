//! What a prefill says: what it is about to do, what became of it.

use std::fmt::Write as _;

use super::item::Item;
use super::report::Report;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::cli::plan::duration;
use crate::cli::progress::clean;
use crate::client::UnionPlan;

/// Says what all of it comes to, before it is begun.
pub(super) fn announce(plan: &UnionPlan, items: usize, keys: usize, later: usize) {
    let (there, builds) = (plan.hits(), plan.builds().count());
    let mut text = format!("items: {items}, keys: {keys}, environments there: {there}, to be built: {builds}");
    let mut add = |part: String| text.push_str(&part);
    let (last, unknown) = plan.last_ms();
    if last > 0 {
        add(format!(", the last time in {} one after the other", duration(last)));
    }
    if unknown > 0 {
        add(format!(", for the first time: {unknown}"));
    }
    if later > 0 {
        add(format!("; keys not known yet: {later}"));
    }
    if !plan.roots.is_empty() {
        let names: Vec<&str> = plan.roots.iter().map(|(repository, _)| repository.as_str()).collect();
        add(format!("; roots that the server does not know: `{}`", names.join("`, `")));
    }
    if !plan.complete {
        add("; there may be more".to_owned());
    }
    output::note(&text);
}

/// Tells of every error once, with the items that it is of.
pub(super) fn failures(report: &Report) {
    let mut told: Vec<(&Failure, Vec<String>)> = Vec::new();
    let items = report.items.iter().filter_map(|item| Some((item.error.as_ref()?, name(item))));
    let sources = report.sources.iter();
    let sources = sources.filter_map(|one| Some((one.error.as_ref()?, format!("sources of {}", one.spec))));
    for (failure, name) in items.chain(sources) {
        match told.iter_mut().find(|(known, _)| *known == failure) {
            Some((_, names)) => names.push(name),
            None => told.push((failure, vec![name])),
        }
    }
    for (failure, names) in told {
        output::show_failure(Some(&names.join(", ")), failure);
    }
}

/// Returns a line for each item, and one that counts them.
pub(super) fn text(report: &Report) -> String {
    let mut text = String::new();
    let mut add = |line: String| writeln!(text, "{line}").expect("writing to a String cannot fail");
    for item in &report.items {
        let key = item.key.map_or_else(|| "-".to_owned(), |key| key.to_string());
        let error = item.error.as_ref().map(|failure| format!(": {}", failure.message)).unwrap_or_default();
        add(clean(&format!("{:10} {key} {}{error}", item.outcome.as_str(), name(item))));
    }
    for sources in &report.sources {
        let (outcome, error) = match &sources.error {
            Some(failure) => ("failed", format!(": {}", failure.message)),
            None => ("there", String::new()),
        };
        add(clean(&format!("{outcome:10} - sources of {}{error}", sources.spec)));
    }
    add(report.totals().to_string());
    text
}

/// Returns what an item is called where there are items of other specs.
pub(super) fn name(item: &Item) -> String {
    format!("{item} of {}", item.spec)
}
