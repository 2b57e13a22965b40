//! The binary cache, used by Nix 2.8 and by a recent one.

mod access;
mod built;
mod copy;
mod false_uploads;
mod lost;
mod requests;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Answer, Daemon, World, path, request, text};

/// A chain of two objects that are made without building: `user` names `source`.
const OBJECTS: &str =
    r#"let source = builtins.toFile "source" "text"; in builtins.toFile "user" "uses ${source}, and more""#;

/// A Nix with a store of its own.
struct Nix {
    programs: PathBuf,
    directory: PathBuf,
    calls: AtomicUsize,
}

impl Nix {
    /// Returns every Nix there is, each with an empty store named so.
    fn all(world: &World, name: &str) -> Vec<Self> {
        let set = path().into_iter().next().expect("that of the sets").join("../../nix/bin");
        let make = |(number, programs): (usize, PathBuf)| {
            assert!(programs.join("nix").exists(), "`nix` is not installed: run `.ci/setup test`");
            let directory = world.path(&format!("{name}-{number}"));
            fs::create_dir_all(directory.join("home")).expect("temporary");
            Self { programs, directory, calls: AtomicUsize::new(0) }
        };
        ["/usr/bin".into(), set].into_iter().enumerate().map(make).collect()
    }

    /// Returns the first, which is the older one.
    fn old(world: &World, name: &str) -> Self {
        Self::all(world, name).remove(0)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Returns where an object of the store lies.
    fn real_path(&self, object: &str) -> PathBuf {
        self.path("store").join(object.trim_start_matches('/'))
    }

    /// Runs a program to its end. What a cache said to those before it has forgotten.
    fn run(&self, program: &str, arguments: &[&str], settings: &str) -> Output {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let mut command = Command::new(self.programs.join(program));
        command.env_clear().env("HOME", self.path("home")).env("USER", "u").env("PATH", "/usr/bin:/bin");
        command.env("NIX_CONF_DIR", self.path("none")).env("NIX_REMOTE", self.path("store"));
        command.env("XDG_CACHE_HOME", self.path(&format!("said-{call}")));
        let own =
            "build-users-group =\nsubstitute = false\nexperimental-features = nix-command\ndownload-attempts = 1\n";
        command.env("NIX_CONFIG", format!("{own}{settings}"));
        command.args(arguments).current_dir(&self.directory).stdin(Stdio::null());
        command.output().expect("it is installed")
    }

    fn succeed_with(&self, program: &str, arguments: &[&str], settings: &str) -> String {
        let output = self.run(program, arguments, settings);
        let (printed, errors) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{:?} {program} {arguments:?}\n{printed}{errors}", self.programs);
        printed.trim().to_owned()
    }

    fn succeed(&self, program: &str, arguments: &[&str]) -> String {
        self.succeed_with(program, arguments, "")
    }

    /// Runs a program that must fail, and returns its stderr.
    fn fail(&self, program: &str, arguments: &[&str], settings: &str) -> String {
        let output = self.run(program, arguments, settings);
        assert!(!output.status.success(), "{program} {arguments:?}\n{}", text(&output.stdout));
        text(&output.stderr)
    }

    /// Makes the chain of objects and returns the one that names the other.
    fn objects(&self) -> String {
        let path = self.succeed("nix-instantiate", &["--eval", "--read-write-mode", "--expr", OBJECTS]);
        path.trim_matches('"').to_owned()
    }

    /// Adds what lies at a path, and returns the object.
    fn add(&self, path: &Path) -> String {
        self.succeed("nix-store", &["--add", path.to_str().expect("UTF-8")])
    }

    /// Copies objects to a cache.
    fn copy_to(&self, cache: &str, objects: &[&str]) {
        self.succeed("nix", &[&["copy", "--no-check-sigs", "--to", cache], objects].concat());
    }
}

/// A daemon that is a binary cache.
struct Cache {
    world: World,
    daemon: Daemon,
}

impl Cache {
    fn new(options: &[&str]) -> Self {
        let world = World::new();
        let daemon = Daemon::start(&world.path("daemon"), options);
        Self { world, daemon }
    }

    fn address(&self, rest: &str) -> String {
        format!("http://{}/nix{rest}", self.daemon.address)
    }

    fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        request(&self.daemon.address, method, &format!("/nix/{path}"), headers, body)
    }

    fn get(&self, path: &str) -> Answer {
        self.request("GET", path, &[], b"")
    }

    fn put(&self, path: &str, body: impl AsRef<[u8]>) -> Answer {
        self.request("PUT", path, &[], body.as_ref())
    }

    fn public_key(&self) -> String {
        self.get("public-key").text().trim().to_owned()
    }
}

/// Objects in the files of a cache that Nix has written.
struct Files(PathBuf);

impl Files {
    /// Returns the chain of objects, its archives without compression, and the last of them.
    fn new(nix: &Nix) -> (Self, String) {
        let object = nix.objects();
        let directory = nix.path("files");
        nix.copy_to(&format!("file://{}?compression=none", directory.display()), &[&object]);
        (Self(directory), object)
    }

    /// Returns the narinfo of an object, without what makes its content vouch for itself.
    fn narinfo(&self, object: &str) -> String {
        let narinfo = fs::read_to_string(self.0.join(narinfo_name(object))).expect("written by Nix");
        narinfo.lines().filter(|line| !line.starts_with("CA:")).map(|line| format!("{line}\n")).collect()
    }

    /// Returns the archive that a narinfo names.
    fn nar(&self, narinfo: &str) -> Vec<u8> {
        fs::read(self.0.join(field(narinfo, "URL"))).expect("written by Nix")
    }

    /// Uploads an object, and what it refers to.
    fn upload(&self, cache: &Cache, object: &str) {
        let narinfo = self.narinfo(object);
        for reference in field(&narinfo, "References").split_whitespace() {
            self.upload(cache, &format!("/nix/store/{reference}"));
        }
        assert_eq!(cache.put(&field(&narinfo, "URL"), self.nar(&narinfo)).status, 201);
        let answer = cache.put(&narinfo_name(object), &narinfo);
        assert_eq!(answer.status, 201, "{}", answer.text());
    }
}

/// Returns the name under which a cache has what it knows of an object.
fn narinfo_name(object: &str) -> String {
    format!("{}.narinfo", &object["/nix/store/".len()..][..32])
}

/// Returns a field of a narinfo.
fn field(narinfo: &str, name: &str) -> String {
    let value = narinfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    value.unwrap_or_else(|| panic!("no {name} in {narinfo}")).to_owned()
}
