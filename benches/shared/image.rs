//! An image of six layers that an environment is, with files as large as those of real ones.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::daemon::{Daemon, Place, fetch, run};

/// Layers of the image.
pub(crate) const LAYERS: usize = 6;
/// Mean size of a file that is not large.
const SMALL: usize = 60_000;
/// Every so many files one is large.
const LARGE_EVERY: usize = 100;
/// Bytes of a large file.
const LARGE: usize = 5 << 20;

/// The sources of the image, and the environments made of them.
pub(crate) struct Source {
    directory: PathBuf,
    specs: PathBuf,
}

impl Source {
    /// Makes sources of so many bytes, of which a third says nothing.
    pub(crate) fn make(place: &Place, megabytes: usize) -> Self {
        let source = Self { directory: place.path("source"), specs: place.path("specs") };
        let mut random = fastrand::Rng::with_seed(1);
        for layer in 0..LAYERS {
            let mut left = megabytes * 1_000_000 / LAYERS;
            for number in 0_usize.. {
                if left == 0 {
                    break;
                }
                let size = if number % LARGE_EVERY == 7 { LARGE } else { random.usize(1..2 * SMALL) }.min(left);
                left -= size;
                let directory = source.directory.join(format!("layer-{layer}/d{}", number % 16));
                fs::create_dir_all(&directory).expect("memory");
                let bytes: Vec<u8> = (0..size).map(|at| if at % 3 == 0 { 0 } else { random.u8(..) }).collect();
                fs::write(directory.join(format!("f{number}")), bytes).expect("memory");
            }
        }
        fs::create_dir(&source.specs).expect("memory");
        source.write_environments();
        source
    }

    /// Writes a tree for each layer, and the image that is composed of them below a directory that a variable names.
    fn write_environments(&self) {
        let tree = |layer| json!({"type": "tree", "inputs": {"": {"path": format!("layer-{layer}")}}});
        let mut environments: serde_json::Map<String, Value> =
            (0..LAYERS).map(|layer| (format!("tree-{layer}"), tree(layer))).collect();
        let layer = |layer| json!({"from": {"env": format!("tree-{layer}")}, "at": format!("/{{{{AT}}}}/l{layer}")});
        let layers: Vec<Value> = (0..LAYERS).map(layer).collect();
        let image = json!({"type": "image", "flexible_config": ["AT"], "layers": layers});
        environments.insert("image".to_owned(), image);
        fs::write(self.directory.join("ENVS"), Value::from(environments).to_string()).expect("memory");
    }

    /// Returns a spec for the image, whose root is known by its id alone, so that no time goes into finding that.
    pub(crate) fn spec(&self, daemon: &Daemon, root: &Path, at: &str) -> PathBuf {
        let spec = |root: &Value| {
            let repositories = json!({"main": {"repository": root}});
            json!({"environment": ["main", "", "image"], "config": {"AT": at}, "repositories": repositories})
        };
        let path = self.specs.join(format!("{at}.json"));
        let sources = json!({"type": "file", "path": self.directory, "pragma": {"to_git": true}});
        fs::write(&path, spec(&sources).to_string()).expect("memory");
        // The daemon is given the sources, and the trees are in its cache.
        for layer in 0..LAYERS {
            let name = format!("tree-{layer}");
            let path = path.to_str().expect("UTF-8");
            run(Command::new(env!("CARGO_BIN_EXE_envserve"))
                .args([
                    "fetch",
                    "--absent",
                    "--quiet",
                    path,
                    "-e",
                    "main",
                    "",
                    &name,
                    "--serve",
                    &daemon.address,
                    "--root",
                ])
                .arg(root));
        }
        let mut resolve = Command::new(env!("CARGO_BIN_EXE_envserve"));
        let resolved = run(resolve.arg("resolve").arg(&path).args(["--serve", &daemon.address, "--root"]).arg(root));
        let resolved: Value = serde_json::from_str(&resolved).expect("JSON");
        let root = &resolved["repositories"]["main"]["root"];
        let root = json!({"type": "git tree", "id": root[1], "cmd": ["false"], "pragma": {"absent": true}});
        fs::write(&path, spec(&root).to_string()).expect("memory");
        path
    }

    /// Changes one small file of the topmost layer.
    pub(crate) fn change(&self) {
        let file = self.directory.join(format!("layer-{}/d1/f1", LAYERS - 1));
        fs::write(file, "changed").expect("memory");
    }
}

/// Has a daemon make an image and returns the tag of its key.
pub(crate) fn tag(spec: &Path, daemon: &Daemon, root: &Path) -> String {
    let (_, said) = fetch(spec, &daemon.address, root, &["--absent", "--json"]);
    let said: Value = serde_json::from_str(&said).expect("JSON");
    let key = said["key"].as_str().expect("a key");
    format!("key-{}", key.split('/').next().unwrap_or(key))
}
