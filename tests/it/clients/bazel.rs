//! Bazel: the endpoint as remote cache and as remote executor.

use std::ops::Deref;

use super::Project;
use crate::support::World;

const BUILD: &str = r#"
genrule(name = "shout", srcs = ["words"], outs = ["shouted"], cmd = "tr a-z A-Z <$< >$@")
genrule(name = "twice", srcs = [":shout"], outs = ["doubled"], cmd = "cat $< $< >$@")
sh_test(name = "test", size = "small", srcs = ["test.sh"], data = [":doubled"])
"#;
const TEST: &str = "#!/bin/sh\nread word <doubled\necho \"the word is $word\"\n[ \"$word\" = HELLO ]\n";

/// Rules that Bazel would download although nothing here uses them.
const UNUSED_RULES: [(&str, &str); 5] = [
    ("rules_cc/BUILD", ""),
    ("rules_cc/cc/BUILD", ""),
    ("rules_java/BUILD", ""),
    ("rules_java/java/BUILD", ""),
    ("coverage/BUILD", "filegroup(name = \"coverage_report_generator\", visibility = [\"//visibility:public\"])\n"),
];
const CC_RULES: [&str; 5] = ["cc_binary", "cc_library", "cc_test", "cc_toolchain", "cc_toolchain_suite"];
const JAVA_RULES: [&str; 5] = ["java_binary", "java_import", "java_library", "java_runtime", "java_toolchain"];

/// Returns the text that hands native rules on.
fn native(rules: &[&str]) -> String {
    rules.iter().map(|rule| format!("{rule} = native.{rule}\n")).collect()
}

/// Returns settings with which Bazel downloads nothing, and keeps what it has in the world.
pub(crate) fn offline(world: &World) -> String {
    for (name, text) in UNUSED_RULES {
        world.write(&format!("rules/{name}"), text);
    }
    world.write("rules/rules_cc/cc/defs.bzl", native(&CC_RULES));
    world.write("rules/rules_java/java/defs.bzl", native(&JAVA_RULES));
    let at = world.path("").display().to_string();
    // The server goes by itself should nobody be left to end it. The rest makes it start fast.
    let mut settings = format!("startup --output_user_root={at}/bazel --max_idle_secs=30\n");
    settings += "startup --host_jvm_args=-XX:TieredStopAtLevel=1 --host_jvm_args=-XX:+UseSerialGC\n";
    settings += "build --color=no --curses=no\n";
    for (repository, directory) in
        [("rules_cc", "rules_cc"), ("rules_java", "rules_java"), ("remote_coverage_tools", "coverage")]
    {
        world.write(&format!("rules/{directory}/WORKSPACE"), "");
        settings += &format!("build --override_repository={repository}={at}/rules/{directory}\n");
    }
    settings
}

/// A project with a Bazel server of its own, which is gone when this is dropped.
struct Workspace(Project);

impl Deref for Workspace {
    type Target = Project;

    fn deref(&self) -> &Project {
        &self.0
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        drop(self.run("bazel-4 shutdown"));
    }
}

fn workspace() -> Workspace {
    let project = Project::new(&["bazel-4"]);
    let settings = project.shown("Bazel") + "\n" + &offline(&project.world);
    project.write(".bazelrc", settings);
    project.write("WORKSPACE", "");
    project.write("BUILD", BUILD);
    project.write("words", "hello\n");
    project.write("test.sh", TEST);
    project.succeed("chmod +x test.sh");
    Workspace(project)
}

/// Returns how many actions ran where, without those that are no processes.
pub(crate) fn processes(printed: &str) -> Vec<&str> {
    let mut counts = printed.lines().filter_map(|line| line.strip_prefix("INFO: ")?.split_once(" process"));
    let counts = counts.next_back().unwrap_or_else(|| panic!("{printed}")).1;
    let counts = counts.trim_start_matches("es").trim_start_matches(": ").trim_end_matches('.').split(", ");
    counts.filter(|count| !count.ends_with(" internal")).collect()
}

#[test]
fn bazel_finds_in_the_cache_what_it_built_before_a_clean() {
    let project = workspace();
    let test = "bazel-4 test --config=cached --spawn_strategy=local //:test";
    assert_eq!(processes(&project.succeed(test)), ["4 local"]);
    assert_eq!(project.read("bazel-bin/doubled"), "HELLO\nHELLO\n");
    let printed = project.succeed(&format!("bazel-4 clean\n{test}"));
    assert_eq!(processes(&printed), ["4 remote cache hit"]);
    assert!(printed.contains("(cached) PASSED"), "{printed}");
    assert_eq!(project.read("bazel-bin/doubled"), "HELLO\nHELLO\n");
}

#[test]
fn bazel_builds_and_tests_at_the_endpoint() {
    let project = workspace();
    let test = "bazel-4 test --config=remote --test_output=errors //:test";
    assert_eq!(processes(&project.succeed(test)), ["4 remote"]);
    project.write("words", "bye\n");
    let printed = project.end(test, 3);
    assert!(printed.contains("the word is BYE"), "{printed}");
    project.write("words", "hello\n");
    let printed = project.succeed(&format!("bazel-4 clean\n{test}"));
    assert_eq!(processes(&printed), ["4 remote cache hit"]);
}

#[test]
fn bazel_leaves_intermediate_results_at_the_endpoint() {
    let project = workspace();
    let printed = project.succeed("bazel-4 build --config=remote //:twice");
    assert_eq!(processes(&printed), ["2 remote"]);
    assert_eq!(project.read("bazel-bin/doubled"), "HELLO\nHELLO\n");
    assert!(!project.path("bazel-bin/shouted").exists());
    // This Bazel fetches what it left only when it has forgotten that it built it.
    let printed = project.succeed("bazel-4 clean\nbazel-4 build --config=remote //:shout");
    assert_eq!(processes(&printed), ["1 remote cache hit"]);
    assert_eq!(project.read("bazel-bin/shouted"), "HELLO\n");
}
