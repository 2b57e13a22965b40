//! What is told on stderr while work goes on.

mod events;
mod lines;
mod screens;
mod terminal;

use std::path::PathBuf;

use serde_json::json;

use crate::support::{World, script};

/// A build that says two words and takes its time.
const TALK: &str = "echo step one; echo step two; sleep 3; echo x >out";
/// One that says what no terminal may obey, and fails.
const HOSTILE: &str = r"printf 'evil\033[2J\033[H\033]0;owned\007\033]52;c;aGk=\007 words\n'; sleep 3; exit 3";

fn talk(world: &World) -> PathBuf {
    world.spec("talk", &json!({"talk": script(TALK, &["out"])}))
}

fn hostile(world: &World) -> PathBuf {
    world.spec("hostile", &json!({"hostile": script(HOSTILE, &["out"])}))
}
