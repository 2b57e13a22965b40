//! Copying to the cache and from it, substitution, and what Nix finds of it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use super::*;
use crate::support::{Node, tree};

/// Makes a directory with every kind of entry.
fn directory(at: &Path) {
    fs::create_dir_all(at.join("bin/empty")).expect("temporary");
    fs::write(at.join("bin/program"), "#!/bin/sh\n").expect("temporary");
    fs::set_permissions(at.join("bin/program"), fs::Permissions::from_mode(0o755)).expect("temporary");
    // More than what travels in one piece.
    let large: Vec<u8> = (0..3_000_001_u32).map(|index| u8::try_from(index % 251).expect("small")).collect();
    fs::write(at.join("large"), large).expect("temporary");
    symlink("bin/program", at.join("link")).expect("temporary");
}

/// Returns what lies in a store: a file, or a directory.
fn stored(nix: &Nix, object: &str) -> (Option<Vec<u8>>, BTreeMap<PathBuf, Node>) {
    let path = nix.real_path(object);
    if path.is_dir() { (None, tree(&path)) } else { (Some(fs::read(&path).expect("there")), BTreeMap::new()) }
}

#[test]
fn what_one_nix_uploads_the_other_fetches() {
    for compression in ["none", "xz", "zstd", "bzip2", "gzip"] {
        let cache = Cache::new(&["--nix-upload"]);
        let uploaders = Nix::all(&cache.world, "uploader");
        directory(&cache.world.path("tree"));
        for uploader in &uploaders {
            let objects = [uploader.objects(), uploader.add(&cache.world.path("tree"))];
            let objects: Vec<&str> = objects.iter().map(String::as_str).collect();
            uploader.copy_to(&cache.address(&format!("?compression={compression}&write-nar-listing=true")), &objects);
            for (number, from) in ["", "/zstd"].into_iter().enumerate() {
                for nix in Nix::all(&cache.world, &format!("fetcher-{number}")) {
                    let from = cache.address(from);
                    nix.succeed("nix", &[&["copy", "--from", &from], &objects[..]].concat());
                    for object in &objects {
                        assert_eq!(stored(&nix, object), stored(uploader, object), "{object}");
                    }
                    nix.succeed("nix", &["store", "verify", "--all"]);
                    drop(fs::remove_dir_all(&nix.directory));
                }
            }
        }
    }
}

#[test]
fn nix_finds_and_verifies_objects_in_the_cache() {
    let cache = Cache::new(&["--nix-upload"]);
    for nix in Nix::all(&cache.world, "nix") {
        let object = nix.objects();
        nix.copy_to(&cache.address(""), &[&object]);
        for at in ["", "/zstd"] {
            let store = cache.address(at);
            let found = nix.succeed("nix", &["path-info", "-r", "--json", "--store", &store, &object]);
            let local = nix.succeed("nix", &["path-info", "--json", &object]);
            for text in ["narHash", "text:sha256:"] {
                assert!(found.contains(text) && local.contains(text), "{found}\n{local}");
            }
            let key = format!("trusted-public-keys = {}", cache.public_key());
            nix.succeed_with("nix", &["store", "verify", "-r", "--store", &store, &object], &key);
        }
    }
}

#[test]
fn objects_are_substituted_when_the_key_of_the_cache_is_trusted_and_only_then() {
    let cache = Cache::new(&["--nix-upload"]);
    let (files, object) = Files::new(&Nix::old(&cache.world, "maker"));
    files.upload(&cache, &object);
    let other = Cache::new(&[]).public_key();
    let same_name = cache.public_key().split(':').next().expect("a name").to_owned();
    let forged = format!("{same_name}:{}", other.split(':').nth(1).expect("a key"));
    for (number, at) in ["", "/zstd"].into_iter().enumerate() {
        for nix in Nix::all(&cache.world, &format!("nix-{number}")) {
            let settings = |key: &str| {
                let at = cache.address(at);
                format!("substitute = true\nrequire-sigs = true\nsubstituters = {at}\ntrusted-public-keys = {key}\n")
            };
            for wrong in [&other, &forged] {
                nix.fail("nix-store", &["--realise", &object], &settings(wrong));
                nix.fail("nix", &["copy", "--from", &cache.address(at), &object], &settings(wrong));
                assert!(!nix.real_path(&object).exists());
            }
            nix.succeed_with("nix-store", &["--realise", &object], &settings(&cache.public_key()));
            assert!(fs::read_to_string(nix.real_path(&object)).expect("there").contains("uses /nix/store/"));
            let again = Nix { directory: nix.path("again"), ..nix };
            fs::create_dir_all(again.path("home")).expect("temporary");
            again.succeed_with("nix", &["build", "--no-link", &object], &settings(&cache.public_key()));
            assert!(again.real_path(&object).exists());
        }
    }
}

#[test]
fn the_key_is_the_one_that_is_given_or_stays_the_one_that_was_made() {
    let cache = Cache::new(&[]);
    let made = cache.public_key();
    assert!(made.starts_with("envserve-"), "{made}");
    assert!(cache.daemon.log().contains(&made));
    let Cache { world, daemon } = cache;
    let again = Cache { daemon: daemon.kill_and_restart(), world };
    assert_eq!(again.public_key(), made);
    let nix = Nix::old(&again.world, "nix");
    nix.succeed("nix-store", &["--generate-binary-cache-key", "cache.example.org-1", "secret", "public"]);
    let given = Cache::new(&["--nix-secret-key", nix.path("secret").to_str().expect("UTF-8")]);
    assert_eq!(given.public_key(), fs::read_to_string(nix.path("public")).expect("written by Nix"));
}
