//! Which form a copy of a service starts from: the fastest that this host can.

use std::fmt;

use crate::spec::{CheckpointFacts, Fingerprint, Form, FormName, Made};

/// Most characters of a reason that are shown.
const SHOWN: usize = 400;

/// What a copy of a service starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The form.
    pub form: FormName,
    /// How many of the layers, from the lowest on, lie over the image then.
    pub layers: usize,
    /// Why it is this one: a sentence for the user.
    pub why: String,
}

/// Why a form that is wished for cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChoiceError {
    /// It is not there.
    #[error("the {} form was not kept: {reason}", called(*form))]
    NotKept {
        /// The form.
        form: FormName,
        /// What the checkpoint says of it.
        reason: String,
    },
    /// This host is not like the one where it was made.
    #[error("the memory form needs {difference}")]
    Differs {
        /// The first part in which they differ.
        difference: String,
    },
    /// This host can wake up no processes.
    #[error("the memory form needs a host that can restore processes: {reason}")]
    Lacks {
        /// Why it cannot.
        reason: String,
    },
}

impl ChoiceError {
    /// Says whether another host could do it.
    pub fn is_of_host(&self) -> bool {
        match self {
            Self::NotKept { .. } => false,
            Self::Differs { .. } | Self::Lacks { .. } => true,
        }
    }
}

/// A form that can be had.
#[derive(Clone, Copy)]
struct Offer {
    ms: u64,
    layers: usize,
}

/// Chooses the form in which a copy starts: the fastest, or the one that is wished for. `here` is the fingerprint of
/// this host, or why it has none; it matters to the form `memory` alone.
///
/// # Errors
/// When the wish cannot be granted.
pub fn choose(
    facts: &CheckpointFacts,
    here: Result<&Fingerprint, &str>,
    wish: Option<FormName>,
) -> Result<Choice, ChoiceError> {
    let made = &facts.made;
    let offers = [
        (FormName::Memory, memory(made, here)),
        (FormName::Filesystem, kept(&made.filesystem, FormName::Filesystem)),
        (FormName::Cold, Ok(Offer { ms: made.without_ms(), layers: 0 })),
    ];
    let there = offers.iter().filter_map(|(form, offer)| Some((*form, *offer.as_ref().ok()?)));
    let fastest = there.min_by_key(|(_, offer)| offer.ms).expect("the image is always there");
    let (form, offer) = match wish {
        None => fastest,
        Some(wish) => {
            let wished = offers.iter().find(|(form, _)| *form == wish).expect("all forms are offered");
            (wish, wished.1.clone()?)
        }
    };
    Ok(Choice { form, layers: offer.layers, why: why(form, offer, wish, &offers) })
}

/// Returns the form that is tried when copies do not start in another one.
pub fn next_form(form: FormName, made: &Made) -> Option<FormName> {
    match form {
        FormName::Memory if matches!(made.filesystem, Form::Published { .. }) => Some(FormName::Filesystem),
        FormName::Memory | FormName::Filesystem => Some(FormName::Cold),
        FormName::Cold => None,
    }
}

fn memory(made: &Made, here: Result<&Fingerprint, &str>) -> Result<Offer, ChoiceError> {
    let offer = kept(&made.memory, FormName::Memory)?;
    let here = here.map_err(|reason| ChoiceError::Lacks { reason: line(reason) })?;
    match here.differences(&made.host).first() {
        Some(difference) => Err(ChoiceError::Differs { difference: line(&difference.to_string()) }),
        None => Ok(offer),
    }
}

fn kept(form: &Form, name: FormName) -> Result<Offer, ChoiceError> {
    match form {
        Form::Published { ready_ms, layers } => Ok(Offer { ms: *ready_ms, layers: *layers }),
        Form::Refused { reason } => Err(ChoiceError::NotKept { form: name, reason: line(reason) }),
    }
}

/// Says why: how fast it and the others were, and what stands in the way of those that cannot be had.
fn why(
    form: FormName,
    offer: Offer,
    wish: Option<FormName>,
    offers: &[(FormName, Result<Offer, ChoiceError>)],
) -> String {
    let asked = if wish.is_some() { ", as asked for" } else { "" };
    let mut why = format!("{}{asked}: {} ms where it was made", called(form), offer.ms);
    let others = || offers.iter().filter(|(other, _)| *other != form);
    for (other, offer) in others().filter_map(|(other, offer)| Some((other, offer.as_ref().ok()?))) {
        why.push_str(&format!(", {} {} ms", called(*other), offer.ms));
    }
    for error in others().filter_map(|(_, offer)| offer.as_ref().err()) {
        why.push_str(&format!("; {error}"));
    }
    why
}

/// Returns what users call a form.
fn called(form: FormName) -> impl fmt::Display {
    match form {
        FormName::Memory => "memory",
        FormName::Filesystem => "file system",
        FormName::Cold => "cold",
    }
}

/// Returns a text in one line of bounded length.
fn line(text: &str) -> String {
    let mut line: String = text.trim().chars().take(SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.trim().chars().nth(SHOWN).is_some() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::tests::facts;

    fn published(ready_ms: u64, layers: usize) -> Form {
        Form::Published { ready_ms, layers }
    }

    fn refused(reason: &str) -> Form {
        Form::Refused { reason: reason.to_owned() }
    }

    /// Chooses where the cold start takes 2000 ms and the warm-up 100.
    fn chosen(
        memory: Form,
        filesystem: Form,
        here: Result<&Fingerprint, &str>,
        wish: Option<FormName>,
    ) -> Result<Choice, ChoiceError> {
        let mut facts = facts();
        (facts.made.cold_ms, facts.made.warmup_ms) = (2000, 100);
        (facts.made.memory, facts.made.filesystem) = (memory, filesystem);
        choose(&facts, here, wish)
    }

    #[test]
    fn the_fastest_form_that_this_host_can_is_chosen_and_told() {
        let same = facts().made.host;
        let mut older = same.clone();
        (older.cpu_flags, older.kernel_release) = ("aes fpu sse".to_owned(), "5.10".to_owned());
        let (memory, filesystem) = (published(95, 1), published(400, 2));
        let cases = [
            (
                (memory.clone(), filesystem.clone(), Ok(&same)),
                (FormName::Memory, 1, "memory: 95 ms where it was made, file system 400 ms, cold 2100 ms"),
            ),
            (
                (memory.clone(), published(70, 2), Ok(&same)),
                (FormName::Filesystem, 2, "file system: 70 ms where it was made, memory 95 ms, cold 2100 ms"),
            ),
            (
                (published(70, 1), published(70, 2), Ok(&same)),
                (FormName::Memory, 1, "memory: 70 ms where it was made, file system 70 ms, cold 2100 ms"),
            ),
            (
                (memory.clone(), filesystem.clone(), Ok(&older)),
                (
                    FormName::Filesystem,
                    2,
                    "file system: 400 ms where it was made, cold 2100 ms; the memory form needs CPU flags: avx2 there, \
                     sse here",
                ),
            ),
            (
                (memory.clone(), filesystem.clone(), Err("`criu` is not installed")),
                (
                    FormName::Filesystem,
                    2,
                    "file system: 400 ms where it was made, cold 2100 ms; the memory form needs a host that can \
                     restore processes: `criu` is not installed",
                ),
            ),
            (
                (refused("io_uring\ncannot be dumped"), refused("slower than cold"), Ok(&same)),
                (
                    FormName::Cold,
                    0,
                    "cold: 2100 ms where it was made; the memory form was not kept: io_uring cannot be dumped; the \
                     file system form was not kept: slower than cold",
                ),
            ),
            (
                (memory, published(5000, 2), Err("no root")),
                (
                    FormName::Cold,
                    0,
                    "cold: 2100 ms where it was made, file system 5000 ms; the memory form needs a host that can \
                     restore processes: no root",
                ),
            ),
        ];
        for ((memory, filesystem, here), (form, layers, why)) in cases {
            let choice = chosen(memory, filesystem, here, None).expect("there is one");
            assert_eq!(choice, Choice { form, layers, why: why.to_owned() });
        }
    }

    #[test]
    fn a_wish_is_granted_or_refused_with_the_reason() {
        let same = facts().made.host;
        let forms = || (published(95, 1), published(400, 2));
        for (wish, layers) in [(FormName::Memory, 1), (FormName::Filesystem, 2), (FormName::Cold, 0)] {
            let (memory, filesystem) = forms();
            let choice = chosen(memory, filesystem, Ok(&same), Some(wish)).expect("it is there");
            assert_eq!((choice.form, choice.layers), (wish, layers));
            assert!(choice.why.contains(", as asked for: "), "{}", choice.why);
        }
        let mut other = same.clone();
        other.criu_version = "4.3".to_owned();
        let (memory, filesystem) = forms();
        let error = chosen(memory, filesystem, Ok(&other), Some(FormName::Memory)).expect_err("another CRIU");
        assert!(error.is_of_host());
        assert_eq!(error.to_string(), "the memory form needs CRIU version: 4.2.1 there, 4.3 here");
        let error = chosen(refused("it has io_uring"), published(1, 1), Ok(&same), Some(FormName::Memory));
        let error = error.expect_err("there is none");
        assert!(!error.is_of_host());
        assert_eq!(error.to_string(), "the memory form was not kept: it has io_uring");
        let error = chosen(published(1, 1), refused("no clean stop"), Ok(&same), Some(FormName::Filesystem));
        assert_eq!(error.expect_err("none").to_string(), "the file system form was not kept: no clean stop");
    }

    #[test]
    fn a_long_reason_is_cut() {
        let choice = chosen(refused(&"é".repeat(5000)), published(1, 1), Err(""), None).expect("there is one");
        assert!(choice.why.chars().count() < 600 && choice.why.ends_with('…'), "{}", choice.why);
    }
}
