//! recc: a compiler launcher.

use super::Project;

const SOURCE: &str = "#include <stdio.h>\n#include \"greeting.h\"\nint main(void) { puts(GREETING); return 0; }\n";
const LINKED: &str = "/usr/bin/gcc -o hello hello.o\n./hello";

fn project() -> Project {
    let project = Project::new(&["recc", "gcc"]);
    project.write("hello.c", SOURCE);
    project.write("greeting.h", "#define GREETING \"hello\"\n");
    project
}

/// Compiles as the documentation says, and tells whether that was a hit.
fn compile(project: &Project) -> bool {
    let printed = project.succeed(&format!("export RECC_LOG_LEVEL=info\n{}", project.shown("recc")));
    let hit = printed.contains("Action Cache hit");
    assert_ne!(hit, printed.contains("Executing action remotely"), "{printed}");
    hit
}

#[test]
fn recc_compiles_at_the_endpoint_once() {
    let project = project();
    assert!(!compile(&project));
    assert_eq!(project.succeed(LINKED), "hello\n");
    project.succeed("rm hello hello.o");
    assert!(compile(&project));
    assert_eq!(project.succeed(LINKED), "hello\n");
}

#[test]
fn recc_compiles_anew_when_a_header_changes() {
    let project = project();
    compile(&project);
    project.write("greeting.h", "#define GREETING \"good bye\"\n");
    assert!(!compile(&project));
    assert_eq!(project.succeed(LINKED), "good bye\n");
}

#[test]
fn recc_shows_what_the_compiler_complains_of() {
    let project = project();
    project.write("greeting.h", "#define GREETING undeclared_name\n");
    let printed = project.end(&project.shown("recc"), 1);
    assert!(printed.contains("error:") && printed.contains("undeclared_name"), "{printed}");
    assert!(!project.path("hello.o").exists());
}
