//! A manual page.

use std::io;

use clap::{Arg, Command};
use clap_mangen::Man;
use roff::{Inline, Roff, bold, roman};

use super::texts::{self, CLIENT_FILES, EXECUTE_FILES, SERVE_FILES, VARIABLES};
use crate::cli::Exit;

/// When this version was made.
const DATE: &str = "2026-11-28";

/// What a command is called as a whole: `envserve-pins-list`.
pub(super) fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

pub(super) fn page(command: &Command) -> io::Result<Vec<u8>> {
    let version = format!("envserve {}", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone()).source(version).manual("envserve").date(DATE);
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    before_options(command).to_writer(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let mut options = Vec::new();
    man.render_options_section(&mut options)?;
    page.extend(below_options(&String::from_utf8_lossy(&options)).into_bytes());
    after_options(command).to_writer(&mut page)?;
    Ok(without_idle_breaks(&page))
}

/// Returns how the command is written, and what it does.
fn before_options(command: &Command) -> Roff {
    let mut roff = Roff::new();
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim();
    let words = command.get_bin_name().unwrap_or("envserve");
    roff.control("SH", ["SYNOPSIS"]);
    match usage.strip_prefix(words) {
        Some(rest) => roff.text([bold(words), roman(rest)]),
        None => roff.text([roman(usage)]),
    };
    roff.control("SH", ["DESCRIPTION"]);
    let about = command.get_about().map(|about| format!("{about}.")).unwrap_or_default();
    roff.text([roman(about)]);
    for paragraph in texts::of(command.get_name()).map_or(&[][..], |verb| verb.more) {
        roff.control("PP", []).text([roman(*paragraph)]);
    }
    roff
}

/// Returns what there is to say besides its options.
fn after_options(command: &Command) -> Roff {
    let mut roff = Roff::new();
    let text = texts::of(command.get_name());
    let codes = codes(command).into_iter().map(|exit| (exit.code().to_string(), sentence(exit.meaning())));
    list(&mut roff, "EXIT STATUS", codes);
    roff.control("PP", []).text([roman("When SIGINT or SIGTERM ends it, 130 or 143.")]);
    if let Some(more) = text.and_then(|text| text.exit) {
        roff.control("PP", []).text([roman(more)]);
    }
    list(&mut roff, "ENVIRONMENT", variables(command).into_iter());
    let files = files(command);
    if !files.is_empty() {
        list(&mut roff, "FILES", files.iter().map(|(path, what)| ((*path).to_owned(), *what)));
    }
    if let Some(text) = text.filter(|text| !text.examples.is_empty()) {
        list(&mut roff, "EXAMPLES", text.examples.iter().map(|(line, does)| ((*line).to_owned(), *does)));
    }
    roff.control("SH", ["SEE ALSO"]).text(related(command));
    roff
}

/// Puts the headings of options below the one of all options.
fn below_options(options: &str) -> String {
    let line = |line: &str| match line.strip_prefix(".SH ") {
        Some(heading) if heading != "OPTIONS" => {
            let heading = heading.trim_matches('"');
            let (first, rest) = heading.split_at(1.min(heading.len()));
            format!(".SS \"{first}{}\"\n", rest.to_lowercase())
        }
        _ => format!("{line}\n"),
    };
    options.lines().map(line).collect()
}

/// Puts one space where clap_mangen breaks the line, leaves one empty and breaks it again: checkers find fault with that.
fn without_idle_breaks(page: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(page).replace("\n.br\n\n.br\n", "\n.sp\n").into_bytes()
}

fn has(command: &Command, option: &str) -> bool {
    command.get_arguments().any(|argument| argument.get_long() == Some(option))
}

/// Returns what a command can end with.
fn codes(command: &Command) -> Vec<Exit> {
    if has(command, "serve") || command.has_subcommands() {
        return Exit::ALL.to_vec();
    }
    vec![Exit::Done, Exit::Error, Exit::Usage, Exit::HostCannot, Exit::Deadline]
}

/// Returns the variables that matter to a command, those that stand for an option first.
fn variables(command: &Command) -> Vec<(String, String)> {
    let of_option = |argument: &Arg| {
        let (name, option) = (argument.get_env()?.to_str()?, argument.get_long()?);
        Some((name.to_owned(), format!("Stands for --{option}.")))
    };
    let options = command.get_arguments().filter(|argument| !argument.is_hide_set()).filter_map(of_option);
    options.chain(VARIABLES.iter().map(|(name, meaning)| ((*name).to_owned(), (*meaning).to_owned()))).collect()
}

fn files(command: &Command) -> &'static [(&'static str, &'static str)] {
    match command.get_name() {
        "execute" => EXECUTE_FILES,
        "serve" | "gc" | "fsck" => SERVE_FILES,
        _ if has(command, "serve") || command.has_subcommands() => CLIENT_FILES,
        _ => &[],
    }
}

fn list(roff: &mut Roff, title: &str, entries: impl Iterator<Item = (String, impl Into<String>)>) {
    roff.control("SH", [title]);
    for (term, meaning) in entries {
        roff.control("TP", []).text([bold(term)]).text([roman(meaning)]);
    }
}

/// Returns the pages that one leads to: those of its verbs, else that of the whole and of what belongs to it.
fn related(command: &Command) -> Vec<Inline> {
    let verbs = command.get_subcommands().map(|verb| name(verb).to_owned());
    let own = texts::of(command.get_name()).map_or(&[][..], |text| text.related);
    let mut pages: Vec<String> = verbs.chain(own.iter().map(|verb| format!("envserve-{verb}"))).collect();
    if name(command) != "envserve" {
        pages.insert(0, "envserve".to_owned());
    }
    let page = |(number, page): (usize, &String)| {
        [roman(if number == 0 { "" } else { ", " }), bold(page.as_str()), roman("(1)")]
    };
    pages.iter().enumerate().flat_map(page).collect()
}

/// Returns a clause as a sentence.
fn sentence(clause: &str) -> String {
    let (first, rest) = clause.split_at(1);
    format!("{}{rest}.", first.to_uppercase())
}
