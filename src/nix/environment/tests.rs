use std::io::Read;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::digest::Digest;
use crate::nix::hash::NixHash;

/// What is built, with what it needs, by name.
const EXPRESSION: &str = r#"
let
  a = builtins.toFile "a" "text";
  b = builtins.toFile "b" "uses ${a}";
  make = name: builder: args: more: derivation ({ inherit name builder args; system = builtins.currentSystem; } // more);
  out = builtins.placeholder "out";
  odd = {
    "odd-name" = [ 1 true false null "x" ]; HOME = "/mine"; NIX_STORE = "s"; TERM = "dumb"; PWD = "/"; TMPDIR = "/t"; NIX_LOG_FD = "9";
    quoted = "line\nquote \" é"; outputs = [ "out" "dev" ]; other = builtins.placeholder "dev"; NIX_BUILD_CORES = "77";
    passAsFile = [ "long" "absent" "zz" ]; long = "in a file, ${builtins.placeholder "dev"}"; longPath = "mine"; zz = ""; zzPaths = "z";
    exportReferencesGraph = [ "graph" b "one" "${a}/below" ];
  };
  structured = {
    __structuredAttrs = true; yes = true; no = false; nothing = null; half = 1.5; whole = 2.0; tiny = 0.00001; large = 4294967297;
    text = "it's é \n ${builtins.placeholder "out"}"; list = [ 1 "a b" null true ]; table = { "k'" = "v"; n = 1; }; nested = [ [ 1 ] ];
    "odd-name" = 1; empty = [ ]; none = { }; passAsFile = [ "text" ]; exportReferencesGraph = { graph = [ b ]; single = a; };
  };
  environ = name: more: make name "/bin/sh" [ "-c" "/usr/bin/cp /proc/$$/environ /nix/written; echo > ${out}" ] more;
  files = name: more: make name "/bin/sh" [ "-c" "/usr/bin/tar cf /nix/written .; echo > ${out}; test -z \"$dev\" || echo > $dev" ] more;
in {
  variables = environ "variables" (builtins.removeAttrs odd [ "outputs" "other" "long" ] // { long = "x"; });
  files = files "files" odd;
  structured-variables = environ "structured-variables" structured;
  structured-files = files "structured-files" structured;
  fixed = environ "fixed" { outputHashAlgo = "sha256"; outputHash = "0000000000000000000000000000000000000000000000000000";
    impureEnvVars = [ "http_proxy" "unset" ]; http_proxy = "mine"; };
}
"#;

/// A store in which Nix builds, without a sandbox of its own.
struct Builder(TempDir);

impl Builder {
    fn new() -> Self {
        for program in ["bwrap", "nix-build"] {
            let found = std::path::Path::new("/usr/bin").join(program).exists();
            assert!(found, "`{program}` is not installed: run `.ci/setup test`");
        }
        let directory = TempDir::new().expect("temporary");
        std::fs::create_dir(directory.path().join("n")).expect("temporary");
        std::fs::write(directory.path().join("default.nix"), EXPRESSION).expect("temporary");
        Self(directory)
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new("/usr/bin/bwrap");
        command.args([
            "--unshare-all",
            "--die-with-parent",
            "--clearenv",
            "--setenv",
            "HOME",
            "/w",
            "--setenv",
            "USER",
            "u",
        ]);
        command.args(["--setenv", "http_proxy", "proxy", "--setenv", "PATH", "/usr/bin", "--ro-bind", "/usr", "/usr"]);
        command.args([
            "--symlink",
            "usr/bin",
            "/bin",
            "--symlink",
            "usr/lib",
            "/lib",
            "--symlink",
            "usr/lib64",
            "/lib64",
        ]);
        command
            .args(["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--dir", "/w", "--bind"])
            .arg(self.0.path().join("n"));
        command.args(["/nix", "--ro-bind"]).arg(self.0.path().join("default.nix")).args(["/default.nix", program]);
        command.args([
            "--option",
            "build-users-group",
            "",
            "--option",
            "sandbox",
            "false",
            "--option",
            "substitute",
            "false",
        ]);
        command.args(["--option", "extra-experimental-features", "nix-command", "--option", "cores", "3"]);
        command.args(arguments).output().expect("it is installed")
    }

    fn succeed(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.run(program, arguments);
        assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
        String::from_utf8(output.stdout).expect("text").trim_end().to_owned()
    }

    /// Returns the bytes of a file of the store.
    fn read(&self, path: &str) -> Vec<u8> {
        std::fs::read(self.0.path().join("n").join(path.trim_start_matches("/nix/"))).expect("there")
    }

    /// Returns what is given to a builder by us, and what Nix's builder wrote.
    fn build(&self, attribute: &str) -> (BuilderEnvironment, Vec<u8>) {
        let drv = self.succeed("nix-instantiate", &["/default.nix", "-A", attribute]);
        let derivation = Derivation::parse(&self.read(&drv)).expect("written by Nix");
        let impure = BTreeMap::from([("http_proxy".to_owned(), "proxy".to_owned())]);
        let build_directory = format!("/tmp/nix-build-{attribute}.drv-0");
        let settings =
            BuilderSettings { build_directory: &build_directory, cores: 3, term: "xterm-256color", impure: &impure };
        let given = derivation.builder_environment(&settings, &self.closure(&derivation)).expect("valid");
        let built = self.run("nix-build", &["--no-out-link", "/default.nix", "-A", attribute]);
        assert_eq!(built.status.success(), !derivation.is_fixed(), "{built:?}");
        (given, std::fs::read(self.0.path().join("n/written")).expect("written by the builder"))
    }

    fn closure(&self, derivation: &Derivation) -> BTreeMap<StorePath, PathInfo> {
        let sources: Vec<String> = derivation.input_sources.iter().map(ToString::to_string).collect();
        if sources.is_empty() {
            return BTreeMap::new();
        }
        let mut arguments = vec!["path-info", "--json", "--recursive"];
        arguments.extend(sources.iter().map(String::as_str));
        let infos: Vec<Value> = serde_json::from_str(&self.succeed("nix", &arguments)).expect("JSON");
        infos.iter().map(info).collect()
    }
}

fn info(info: &Value) -> (StorePath, PathInfo) {
    let path = |value: &Value| value.as_str().expect("text").parse().expect("made by Nix");
    let hash = NixHash::parse(info["narHash"].as_str().expect("text")).expect("made by Nix");
    let size = info["narSize"].as_u64().expect("a number");
    let nar = Digest::parse(DigestFunction::Sha256, &hash.to_hex(), size).expect("valid");
    let references = info["references"].as_array().expect("a list").iter().map(path).collect();
    let content_address = info["ca"].as_str().map(str::to_owned);
    (path(&info["path"]), PathInfo { nar, references, content_address })
}

fn variables(environ: &[u8]) -> BTreeMap<String, String> {
    let text = std::str::from_utf8(environ).expect("UTF-8");
    let split = |entry: &str| entry.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    text.split_terminator('\0').map(|entry| split(entry).expect("a variable")).collect()
}

fn files(tar: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(tar);
    let entries = archive.entries().expect("an archive").map(|entry| entry.expect("an entry"));
    let files = entries.filter(|entry| entry.header().entry_type().is_file());
    files
        .map(|mut entry| {
            let name = entry.path().expect("valid").file_name().expect("a file").to_string_lossy().into_owned();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).expect("whole");
            (name, bytes)
        })
        .collect()
}

#[test]
fn builders_are_given_the_variables_that_nix_gives_them() {
    let builder = Builder::new();
    for attribute in ["variables", "structured-variables", "fixed"] {
        let (given, written) = builder.build(attribute);
        assert_eq!(given.variables, variables(&written), "{attribute}");
        assert!(given.arguments[1].contains("echo > /nix/store/"), "{:?}", given.arguments);
    }
}

#[test]
fn builders_are_given_the_files_that_nix_gives_them() {
    let builder = Builder::new();
    for (attribute, count) in [("files", 4), ("structured-files", 2)] {
        let (given, written) = builder.build(attribute);
        let text = |files: BTreeMap<String, Vec<u8>>| -> BTreeMap<String, String> {
            files.into_iter().map(|(name, bytes)| (name, String::from_utf8(bytes).expect("UTF-8"))).collect()
        };
        assert_eq!(given.files.len(), count);
        assert_eq!(text(given.files), text(files(&written)), "{attribute}");
    }
}

#[test]
fn what_cannot_be_given_is_refused() {
    let hash = "0123456789abcdfghijklmnpqrsvwxyz";
    let derivation = |variables: &str| {
        let text = format!("Derive([(\"out\",\"/nix/store/{hash}-x\",\"\",\"\")],[],[],\"s\",\"b\",[],[{variables}])");
        Derivation::parse(text.as_bytes()).expect("valid")
    };
    let impure = BTreeMap::new();
    let settings = BuilderSettings { build_directory: "/build", cores: 1, term: "dumb", impure: &impure };
    let given = |variables: &str| derivation(variables).builder_environment(&settings, &BTreeMap::new());
    assert_eq!(given("").expect("valid").variables["PWD"], "/build");
    for variable in ["(\"a=b\",\"\")", "(\"\",\"\")"] {
        assert!(matches!(given(variable), Err(EnvironmentError::Variable { .. })), "{variable}");
    }
    let graph = |value: &str| given(&format!("(\"exportReferencesGraph\",\"{value}\")")).expect_err(value);
    assert!(matches!(graph("a"), EnvironmentError::Graph));
    for name in ["../a", "/a", ".a", "1", "a/b"] {
        assert!(matches!(graph(&format!("{name} /nix/store/{hash}-a")), EnvironmentError::GraphName { .. }), "{name}");
    }
    assert!(matches!(graph("a /etc/passwd"), EnvironmentError::GraphPath { .. }));
    assert!(matches!(graph(&format!("a /nix/store/{hash}-a")), EnvironmentError::GraphInput { .. }));
    let json = given("(\"__json\",\"{\\\"exportReferencesGraph\\\":{\\\"a\\\":[1]}}\")");
    assert!(matches!(json, Err(EnvironmentError::Graph)), "{json:?}");
    assert!(matches!(given("(\"__json\",\"[]\")"), Err(EnvironmentError::Unsupported(Unsupported::Structured))));
}
