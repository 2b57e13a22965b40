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
    let verbs = succeed(Command::new("bash").args(["-c", &format!("grep -c trial {source} || true")]));
    assert_eq!(verbs, "0", "what is not for people is not offered");
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

#[test]
fn the_manual_is_sound_and_can_be_read() {
    let world = World::new();
    let directory = world.path("man/man1");
    let pages = succeed(world.client("client").arg("manual").arg(&directory));
    assert_eq!(pages.lines().count(), fs::read_dir(&directory).expect("made").count());
    let output = run(Command::new("mandoc").args(["-Tlint", "-Wwarning"]).args(pages.lines()));
    assert!(output.status.success(), "{}", text(&output.stdout));
    let shown = succeed(Command::new("mandoc").args(["-Tutf8"]).arg(directory.join("envserve.1")));
    for part in ["EXIT STATUS", "envserve-fetch(1)", "Prepared environments"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    for hidden in ["trial", "make-checkpoint"] {
        assert!(!shown.contains(hidden), "{shown}");
    }
}
