//! trexe: one command at the endpoint.

use serde_json::Value;

use super::Project;

/// Runs what the documentation shows, and returns whether the answer was cached.
fn execute(project: &Project) -> bool {
    let shown = project.shown("trexe").replace("trexe ", "trexe --result-metadata-file=metadata ");
    project.succeed(&format!("rm -rf result\nmkdir result\n{shown}"));
    let metadata: Value = serde_json::from_str(&project.read("metadata")).expect("JSON");
    let result = &metadata["actionResultMetadata"];
    assert_eq!(result["exitCode"], 0);
    result["cachedResult"].as_bool().expect("a boolean")
}

#[test]
fn trexe_fetches_the_outputs_of_a_command() {
    let project = Project::new(&["trexe"]);
    project.write("source/words", "to be seen\n");
    assert!(!execute(&project));
    assert_eq!(project.read("result/out/words"), "TO BE SEEN\n");
    assert!(execute(&project));
    assert_eq!(project.read("result/out/words"), "TO BE SEEN\n");
    project.write("source/words", "changed\n");
    assert!(!execute(&project));
    assert_eq!(project.read("result/out/words"), "CHANGED\n");
}

#[test]
fn trexe_has_the_output_and_the_exit_code_of_the_command() {
    let project = Project::new(&["trexe"]);
    let command = "/bin/sh -c 'echo said; echo complained >&2; exit 3'";
    let trexe = format!("trexe --remote=http://{} --stdout-file=out --stderr-file=err", project.daemon.address);
    project.end(&format!("{trexe} --d=. -- {command}"), 3);
    assert_eq!((project.read("out").as_str(), project.read("err").as_str()), ("said\n", "complained\n"));
}
