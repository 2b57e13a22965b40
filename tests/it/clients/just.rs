//! The just client, as a foreign build tool.

use std::path::Path;

use super::Project;
use crate::support::{Node, tree};

const TARGETS: &str = r#"
{ "words":
  { "type": "generic"
  , "cmds": ["mkdir -p made/bin", "tr a-z A-Z <name >made/name", "printf '#!/bin/sh\necho ran\n' >made/bin/run"
    , "chmod +x made/bin/run", "ln -s bin/run made/link"]
  , "out_dirs": ["made"]
  , "deps": ["name"]
  }
, "greeting":
  { "type": "generic"
  , "cmds": ["echo HELLO, $(cat made/name) >greeting", "cp -a made copy", "cp made/bin/run run"]
  , "outs": ["greeting", "run"]
  , "out_dirs": ["copy"]
  , "deps": ["words"]
  }
}"#;

/// Builds with nothing of just's own, and returns how many actions were hits.
fn build(project: &Project) -> String {
    let printed = project.succeed(&format!("rm -rf .just result\n{}", project.shown("just")));
    let processed = printed.lines().find_map(|line| line.split_once("Processed "));
    processed.unwrap_or_else(|| panic!("{printed}")).1.to_owned()
}

#[test]
fn just_builds_at_the_endpoint_once() {
    let project = Project::new(&["justbuild"]);
    project.write("ROOT", "");
    project.write("TARGETS", TARGETS);
    project.write("name", "world\n");
    assert_eq!(build(&project), "2 actions, 0 cache hits.");
    assert_eq!(project.read("result/greeting"), "HELLO, WORLD\n");
    let first = tree(&project.path("result"));
    assert_eq!(first[Path::new("copy/link")], Node::Symlink { target: "bin/run".into() });
    assert_eq!(project.succeed("result/copy/bin/run\nresult/run"), "ran\nran\n");
    assert_eq!(build(&project), "2 actions, 2 cache hits.");
    assert_eq!(tree(&project.path("result")), first);
    project.write("name", "everyone\n");
    assert_eq!(build(&project), "2 actions, 0 cache hits.");
    assert_eq!(project.read("result/greeting"), "HELLO, EVERYONE\n");
}
