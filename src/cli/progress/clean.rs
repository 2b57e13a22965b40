//! Text of others, fit for a terminal.
//!
//! What builds print, and what things are called, must not move the cursor, write into the clipboard or hide other
//! text. Sequences of ECMA-48 are left out, and all other control characters.

use std::iter::Peekable;
use std::str::Chars;

const ESCAPE: char = '\u{1b}';
const BELL: char = '\u{7}';

/// Returns a line without anything that a terminal would obey.
pub(in crate::cli) fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            ESCAPE => skip_sequence(&mut rest),
            // The 8-bit forms of the same.
            '\u{9b}' => skip_parameters(&mut rest),
            '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => skip_string(&mut rest),
            '\t' => cleaned.push(' '),
            c if c.is_control() || reorders(c) => {}
            c => cleaned.push(c),
        }
    }
    cleaned
}

/// Says whether a character changes the direction of those after it.
fn reorders(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Leaves out what an escape begins.
fn skip_sequence(rest: &mut Peekable<Chars<'_>>) {
    match rest.next() {
        Some('[') => skip_parameters(rest),
        Some('P' | 'X' | ']' | '^' | '_') => skip_string(rest),
        // One with characters between, as that which chooses a set of characters.
        Some(' '..='/') => while rest.next().is_some_and(|c| (' '..='/').contains(&c)) {},
        _ => {}
    }
}

/// Leaves out parameters, and the final character after them.
fn skip_parameters(rest: &mut Peekable<Chars<'_>>) {
    while rest.next().is_some_and(|c| !('@'..='~').contains(&c)) {}
}

/// Leaves out a string up to its end: a bell, or ESC \.
fn skip_string(rest: &mut Peekable<Chars<'_>>) {
    while let Some(c) = rest.next() {
        if c == BELL || c == '\u{9c}' {
            return;
        }
        if c == ESCAPE {
            rest.next_if_eq(&'\\');
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_that_a_terminal_obeys() {
        for (text, expected) in [
            ("plain é", "plain é"),
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{1b}[2J\u{1b}[Hgone", "gone"),
            ("\u{1b}]0;title\u{7}a", "a"),
            ("\u{1b}]52;c;aGk=\u{1b}\\b", "b"),
            ("\u{9b}31mc", "c"),
            ("a\rb\u{8}c\u{7}", "abc"),
            ("\u{1b}(Bd\u{1b}=e", "de"),
            ("a\tb\u{202e}c", "a bc"),
            ("\u{1b}[38;5", ""),
            ("\u{1b}", ""),
            ("\u{1b}]unended", ""),
        ] {
            assert_eq!(clean(text), expected, "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_control_character_is_ever_left(text in "\\PC*|[\\x00-\\x9f]*") {
            assert!(!clean(&text).contains(|c: char| c.is_control()));
        }
    }
}
