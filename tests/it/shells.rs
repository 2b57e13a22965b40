//! Completion in shells, and the manual.

use std::fs;
use std::process::Command;

use crate::support::{World, run, succeed, text};

fn script(world: &World, shell: &str) -> String {
    let script = succeed(world.client("client").args(["completion", shell]));
    world.write(shell, script).display().to_string()
}

#[test]
fn bash_offers_verbs_and_options() {
    let world = World::new();
    let source = script(&world, "bash");
    let offered = |words: &str, at: usize| {
        let words: Vec<&str> = words.split(' ').collect();
        let text = format!(
            "source {source}; COMP_WORDS=({}); COMP_CWORD={at}; _envserve envserve '{}' '{}'; echo \"${{COMPREPLY[@]}}\"",
            words.join(" "),
            words[at],
            words[at - 1]
        );
        succeed(Command::new("bash").args(["--norc", "-c", &text]))
    };
    assert_eq!(offered("envserve fet", 1), "fetch");
    let options = offered("envserve fetch --in", 2);
    assert!(options.split(' ').any(|option| option == "--install"), "{options}");
    assert_eq!(offered("envserve fetch --view do", 3), "docker-archive");
    for hidden in ["trial", "make-checkpoint", "idle-seconds"] {
        assert!(!fs::read_to_string(&source).expect("written").contains(hidden), "{hidden} is not for people");
    }
}

#[test]
fn fish_offers_verbs_and_options() {
    let world = World::new();
    let source = script(&world, "fish");
    let offered = |line: &str| {
        let mut fish = Command::new("fish");
        fish.args(["--no-config", "-c", &format!("source {source}; complete -C '{line}'")]);
        succeed(fish.env("HOME", world.path("home")).env("XDG_CONFIG_HOME", world.path("home")))
    };
    assert!(offered("envserve fet").starts_with("fetch\t"), "{}", offered("envserve fet"));
    assert!(offered("envserve fetch --insta").starts_with("--install\t"));
    assert!(offered("envserve fetch --view docker").starts_with("docker-archive"));
    assert_eq!(offered("envserve fetch --idle"), "");
}

#[test]
fn zsh_completes_a_verb_and_an_option() {
    let world = World::new();
    let source = script(&world, "zsh");
    let typed = r#"
        zmodload zsh/zpty
        zpty shell zsh -f -i
        zpty -w shell "PS1=; autoload -Uz compinit; compinit -u -D; source $SOURCE; echo re''ady"
        zpty -r -m shell before '*ready*'
        zpty -w -n shell $'envserve fet\t'
        zpty -r -m shell verb '*envserve fetch*'
        zpty -w -n shell $'--insta\t'
        zpty -r -m shell option '*--install*'
        print -r -- "$verb|$option"
    "#;
    let mut zsh = Command::new("timeout");
    zsh.args(["60", "zsh", "-f", "-c", typed]).env("SOURCE", source).env("TERM", "dumb");
    let shown = succeed(&mut zsh);
    assert!(shown.contains("envserve fetch") && shown.contains("--install"), "{shown:?}");
}

/// Returns a text without what is struck over, by which terminals of old showed bold letters.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    for c in text.chars() {
        if c == '\u{8}' {
            plain.pop();
        } else {
            plain.push(c);
        }
    }
    plain
}

#[test]
fn the_manual_is_sound_and_can_be_read() {
    let world = World::new();
    let directory = world.path("man/man1");
    let pages = succeed(world.client("client").arg("manual").arg(&directory));
    assert_eq!(pages.lines().count(), fs::read_dir(&directory).expect("made").count());
    let output = run(Command::new("mandoc").args(["-Tlint", "-Wwarning"]).args(pages.lines()));
    assert!(output.status.success(), "{}", text(&output.stdout));
    let shown = plain(&succeed(Command::new("mandoc").args(["-Tutf8"]).arg(directory.join("envserve.1"))));
    for part in ["EXIT STATUS", "envserve-fetch(1)", "Prepared environments"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    for hidden in ["trial", "make-checkpoint"] {
        assert!(!shown.contains(hidden), "{shown}");
    }
}

#[test]
fn a_page_has_the_sections_of_a_manual_in_their_order() {
    let world = World::new();
    let directory = world.path("man/man1");
    succeed(world.client("client").arg("manual").arg(&directory));
    // No control characters for bold and underlined text.
    let mut man = Command::new("man");
    man.env("MANWIDTH", "100").env("MAN_KEEP_FORMATTING", "").env("GROFF_NO_SGR", "1").env("LC_ALL", "C.UTF-8");
    let shown = succeed(man.arg(directory.join("envserve-fetch.1")));
    let sections =
        ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLES", "SEE ALSO"];
    let at: Vec<_> = sections.iter().map(|section| shown.lines().position(|line| line == *section)).collect();
    assert!(at.iter().all(Option::is_some) && at.is_sorted(), "{at:?}\n{shown}");
    for part in
        ["envserve fetch [OPTIONS] <SPEC>", "Where it goes", "ENVSERVE_SERVE", "envserve-plan(1)", "ROOT/gcroots"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}
