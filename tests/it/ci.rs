//! The recipes for CI: they are what the services take, and what is in them is run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::support::{Daemon, World, json_validator, run, script, succeed, text};

const TOOL: &str = "mkdir bin; printf '#!/bin/sh\\necho \"$@\" >made\\n' >bin/make; chmod +x bin/make";

fn recipe(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ci").join(name)
}

/// A checkout with environments, and a server that knows a builder and readers.
struct Case {
    world: World,
    daemon: Daemon,
}

impl Case {
    fn new() -> Self {
        let world = World::new();
        let mut toolchain = script(TOOL, &["bin"]);
        toolchain["provides"] = json!({"path": ["bin"]});
        let environments = json!({"toolchain": toolchain, "other": script("echo x >out", &["out"])});
        world.write("checkout/environments/tools/ENVS", environments.to_string());
        let root = json!({"type": "file", "path": "tools", "pragma": {"to_git": true}});
        let spec = json!({"environment": ["main", "", "toolchain"], "repositories": {"main": {"repository": root}}});
        world.write("checkout/environments/toolchain.json", spec.to_string());
        let [builders, readers] = ["builder", "reader"].map(|role| world.write(role, format!("{role}-token\n")));
        let token_file = |role: &str, path: &Path| format!("--token-file={role}={}", path.display());
        let (builders, readers) = (token_file("builder", &builders), token_file("reader", &readers));
        let daemon = Daemon::start(&world.path("daemon"), &[&builders, &readers]);
        Self { world, daemon }
    }

    /// Returns bash, as a runner starts it for a job, with a client that has nothing.
    fn bash(&self, job: &str, token: &str) -> Command {
        let mut command = Command::new("bash");
        let program = Path::new(env!("CARGO_BIN_EXE_envserve")).parent().expect("it lies in a directory");
        let path = format!("{}:{}", program.display(), std::env::var("PATH").expect("set"));
        let checkout = self.world.path("checkout");
        command.current_dir(&checkout).env("PATH", path).env("CI", "true").env("CI_PROJECT_DIR", &checkout);
        command.env("ENVSERVE_SERVE", &self.daemon.address).env("ENVSERVE_ROOT", self.world.path(job));
        command.env("RUNNER_TEMP", self.world.path("")).env("CI_COMMIT_REF_SLUG", "main");
        command.env("ENVSERVE_TOKEN", token).env("ENVSERVE_PREFILL_TOKEN", token);
        command
    }

    /// Runs a job as a runner does: what fails, fails the job.
    fn job(&self, job: &str, commands: &str, token: &str) -> String {
        succeed(self.bash(job, token).args(["-eo", "pipefail", "-c", commands]))
    }

    fn made(&self) -> Option<String> {
        fs::read_to_string(self.world.path("checkout/made")).ok()
    }
}

/// Returns the commands of a job: the block that follows the marker.
fn commands(recipe: &str, job: &str, marker: &str) -> String {
    let lines = recipe.lines().skip_while(|line| line.trim() != format!("{job}:"));
    let mut lines = lines.skip_while(|line| line.trim() != marker);
    let indent = |line: &str| line.len() - line.trim_start().len();
    let outer = indent(lines.next().expect("the job has commands"));
    let block: Vec<&str> = lines.take_while(|line| indent(line) > outer).map(str::trim_start).collect();
    block.join("\n")
}

#[test]
fn the_recipes_are_what_the_services_take() {
    for (schema, name) in [("github-workflows", "github-actions.yml"), ("gitlab-ci", "gitlab-ci.yml")] {
        let mut validator = Command::new(json_validator());
        let output = run(validator.arg("--builtin-schema").arg(format!("vendor.{schema}")).arg(recipe(name)));
        assert!(output.status.success(), "{name}: {}{}", text(&output.stdout), text(&output.stderr));
    }
}

#[test]
fn the_jobs_of_both_services_fill_and_read() {
    for (name, marker) in [("github-actions.yml", "run: |"), ("gitlab-ci.yml", "- |")] {
        let case = Case::new();
        let recipe = fs::read_to_string(recipe(name)).expect("there");
        let test = commands(&recipe, "test", marker);
        let mut early = case.bash("early", "reader-token");
        let early = run(early.args(["-eo", "pipefail", "-c", &test]));
        assert_eq!(early.status.code(), Some(14), "{name}: a reader has nothing built: {}", text(&early.stderr));
        assert_eq!(case.daemon.builds(), 0);

        let filled = case.job("prefill", &commands(&recipe, "prefill", marker), "builder-token");
        assert!(filled.contains("built"), "{filled}");
        assert_eq!(case.daemon.builds(), 2, "{filled}");
        let report = fs::read_to_string(case.world.path("checkout/prefill.xml")).expect("written");
        assert!(report.contains("<testsuite"), "{report}");

        case.job("test", &test, "reader-token");
        assert_eq!(case.made().as_deref(), Some("test\n"), "{name}");
        assert_eq!(case.daemon.builds(), 2, "{name}");
    }
}

#[test]
fn the_script_for_any_ci_fills_reads_and_says_why_something_is_not_there() {
    let case = Case::new();
    let script = recipe("generic.sh").display().to_string();
    let call =
        |job: &str, token: &str, words: &str| run(case.bash(job, token).args(["-c", &format!("{script} {words}")]));
    let early = call("early", "reader-token", "use make early");
    assert_eq!(early.status.code(), Some(10), "{}", text(&early.stderr));
    assert!(text(&early.stderr).contains("miss"), "it is explained: {}", text(&early.stderr));
    let filled = call("prefill", "builder-token", "prefill");
    assert!(filled.status.success(), "{}", text(&filled.stderr));
    let used = call("use", "reader-token", "use make all");
    assert!(used.status.success(), "{}", text(&used.stderr));
    assert_eq!((case.made().as_deref(), case.daemon.builds()), (Some("all\n"), 2));
    assert_eq!(call("wrong", "", "something").status.code(), Some(2));
}
