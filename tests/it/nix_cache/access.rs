//! Who may read, and who may write.

use super::*;

#[test]
fn uploads_are_refused_unless_the_operator_allows_them() {
    let cache = Cache::new(&[]);
    let narinfo = format!("{}.narinfo", "0".repeat(32));
    for path in ["nar/x.nar", &narinfo, "nix-cache-info"] {
        let answer = cache.put(path, "text");
        assert_eq!(answer.status, 403, "{path}");
        assert!(answer.text().contains("--nix-upload"), "{}", answer.text());
    }
    for nix in Nix::all(&cache.world, "nix") {
        let object = nix.objects();
        let errors = nix.fail("nix", &["copy", "--no-check-sigs", "--to", &cache.address(""), &object], "");
        assert!(errors.contains("403"), "{errors}");
    }
}

#[test]
fn uploads_must_be_signed_by_a_trusted_key_where_keys_are_given() {
    let world = World::new();
    let nix = Nix::old(&world, "nix");
    nix.succeed("nix-store", &["--generate-binary-cache-key", "trusted-1", "secret", "public"]);
    nix.succeed("nix-store", &["--generate-binary-cache-key", "trusted-1", "other", "other-public"]);
    let public = fs::read_to_string(nix.path("public")).expect("written by Nix");
    let cache = Cache::new(&["--nix-upload", "--nix-trusted-key", &public]);
    let object = nix.objects();
    for with in [String::new(), format!("?secret-key={}", nix.path("other").display())] {
        let errors = nix.fail("nix", &["copy", "--no-check-sigs", "--to", &cache.address(&with), &object], "");
        assert!(errors.contains("403"), "{errors}");
        assert_eq!(cache.get(&narinfo_name(&object)).status, 404);
    }
    nix.copy_to(&cache.address(&format!("?secret-key={}", nix.path("secret").display())), &[&object]);
    assert_eq!(cache.get(&narinfo_name(&object)).status, 200);
}

#[test]
fn where_a_token_is_needed_nix_shows_it_as_a_password() {
    let world = World::new();
    let tokens = world.write("tokens", "the-token\n");
    let cache = Cache::new(&["--nix-upload", "--token-file", tokens.to_str().expect("UTF-8")]);
    for path in ["nix-cache-info", "public-key", "nothing"] {
        let answer = cache.get(path);
        assert_eq!(answer.status, 401, "{path}");
        assert!(answer.header("www-authenticate").is_some());
        assert!(!answer.text().contains("StoreDir"));
    }
    assert_eq!(cache.put("nar/x.nar", "text").status, 401);
    let with = |value: &str| cache.request("GET", "nix-cache-info", &[("Authorization", value)], b"").status;
    assert_eq!([with("Bearer the-token"), with("Bearer another"), with("Basic bmljZTp0aGUtdG9rZW4=")], [200, 401, 200]);
    for nix in Nix::all(&cache.world, "nix") {
        let object = nix.objects();
        let netrc = nix.path("netrc");
        let settings = format!("netrc-file = {}", netrc.display());
        let copy = ["copy", "--no-check-sigs", "--to", &cache.address(""), &object];
        fs::write(&netrc, "machine 127.0.0.1 login x password wrong\n").expect("temporary");
        nix.fail("nix", &copy, &settings);
        fs::write(&netrc, "machine 127.0.0.1 login x password the-token\n").expect("temporary");
        nix.succeed_with("nix", &copy, &settings);
        nix.succeed_with("nix", &["path-info", "--store", &cache.address(""), &object], &settings);
    }
}

#[test]
fn keys_that_are_none_are_refused_when_the_daemon_starts() {
    let world = World::new();
    let file = world.write("key", "none");
    let key = file.to_str().expect("UTF-8");
    let mut command = world.client("client");
    command.args(["serve", "--listen", "127.0.0.1:0", "--nix-secret-key", key, "--root"]).arg(world.path("root"));
    let errors = crate::support::fail(&mut command, 1);
    assert!(errors.contains("cannot be used as a secret key of Nix"), "{errors}");
    let mut command = world.client("client");
    command.args(["serve", "--nix-upload", "--nix-trusted-key", "none"]);
    crate::support::fail(&mut command, 2);
}
