//! Blobs that are gone behind the daemon's back.

use super::*;
use crate::support::files;

#[test]
fn an_object_that_lost_a_blob_is_not_known_any_more() {
    let mut cache = Cache::new(&["--nix-upload"]);
    let nix = Nix::old(&cache.world, "nix");
    let content: Vec<u8> = (0..3_000_000_u32).map(|index| u8::try_from(index % 253).expect("small")).collect();
    let object = nix.add(&cache.world.write("large", &content));
    nix.copy_to(&cache.address(""), &[&object]);
    let narinfo = cache.get(&narinfo_name(&object)).text();
    let url = field(&narinfo, "URL");
    assert!(cache.get(&url).whole);
    let blobs = files(&cache.daemon.root.join("blobs"));
    let large = |path: &&std::path::PathBuf| fs::metadata(path).expect("there").len() == 3_000_000;
    let blob = blobs.iter().find(large).expect("a file of its own");
    fs::remove_file(blob).expect("it can be");

    // It was found whole a moment ago, so it is promised once more: the body ends too early.
    let broken_off = cache.get(&url);
    assert!(broken_off.status != 200 || !broken_off.whole, "{}", broken_off.body.len());
    assert_eq!(cache.get(&narinfo_name(&object)).status, 404);
    for at in ["", "zstd/"] {
        assert_eq!(cache.get(&format!("{at}{}", narinfo_name(&object))).status, 404);
    }
    assert_eq!(cache.get(&url).status, 404);
    assert!(cache.daemon.log().contains("broke off an archive"), "{}", cache.daemon.log());
    // It is uploaded as if it had never been there, and survives a restart.
    let again = Nix { directory: nix.directory.clone(), programs: nix.programs.clone(), calls: 100.into() };
    again.copy_to(&cache.address(""), &[&object]);
    assert!(cache.get(&url).whole);
    cache.daemon = cache.daemon.kill_and_restart();
    assert_eq!(cache.get(&url).status, 200);
    assert!(!cache.daemon.root.join("nix-tmp").read_dir().expect("there").any(|_| true));
}
