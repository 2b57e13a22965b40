use proptest::prelude::*;

use super::super::signing::SecretKey;
use super::super::tests::Nix;
use super::*;

const HASH: &str = "0123456789abcdfghijklmnpqrsvwxyz";
/// An object that names another, and itself.
const OBJECTS: &str = r#"
let source = builtins.toFile "source" "text"; in builtins.toFile "user" "uses ${source}"
"#;

fn text() -> String {
    let zeros = "0".repeat(52);
    format!(
        "StorePath: /nix/store/{HASH}-x\nURL: nar/x.nar\nCompression: none\nFileHash: sha256:{zeros}\nFileSize: 9\n\
         NarHash: sha256:{zeros}\nNarSize: 120\nReferences: {HASH}-w {HASH}-x\nDeriver: {HASH}-x.drv\nCA: text:sha256:{zeros}\n"
    )
}

/// Returns a cache with an object in it, and the text and the name of its narinfo.
fn cached(nix: &Nix, more: &str) -> (String, std::path::PathBuf) {
    let path = nix.succeed("nix-instantiate", &["--eval", "--read-write-mode", "--expr", OBJECTS]);
    let path = path.trim_matches('"').to_owned();
    let cache = format!("file://{}?{more}", nix.path("cache").display());
    nix.succeed(
        "nix",
        &["--extra-experimental-features", "nix-command", "copy", "--no-check-sigs", "--to", &cache, &path],
    );
    let path = StorePath::parse(&path).expect("made by Nix");
    let file = nix.path("cache").join(format!("{}.narinfo", path.hash_part()));
    (std::fs::read_to_string(&file).expect("made by Nix"), file)
}

#[test]
fn what_nix_writes_is_read_and_written_again() {
    for compression in [Compression::None, Compression::Xz] {
        let nix = Nix::new();
        nix.succeed("nix-store", &["--generate-binary-cache-key", "cache-1", "secret", "public"]);
        let secret = nix.path("secret").display().to_string();
        let (text, _) = cached(&nix, &format!("compression={}&secret-key={secret}", compression.as_str()));
        let narinfo = NarInfo::parse(&text).expect("written by Nix");
        assert_eq!(narinfo.to_string(), text);
        assert_eq!(narinfo.compression, compression);
        assert_eq!(narinfo.info.references.len(), 1);
        let public = std::fs::read_to_string(nix.path("public")).expect("made by Nix").parse().expect("made by Nix");
        assert!(narinfo.is_signed_by(&[public]));
        let secret = SecretKey::parse(&std::fs::read_to_string(secret).expect("made by Nix")).expect("made by Nix");
        let mut again = NarInfo { signatures: Vec::new(), ..narinfo.clone() };
        again.sign(&secret);
        again.sign(&secret);
        assert_eq!(again, narinfo);
    }
}

#[test]
fn nix_takes_what_is_signed_here_and_nothing_else() {
    let nix = Nix::new();
    let key = SecretKey::generate("ours").expect("random");
    let (text, file) = cached(&nix, "compression=none");
    let mut narinfo = NarInfo::parse(&text).expect("written by Nix");
    // Without this the content vouches for itself.
    narinfo.info.content_address = None;
    let path = narinfo.path.to_string();
    let verify = |narinfo: &NarInfo| {
        std::fs::write(&file, narinfo.to_string()).expect("temporary");
        let cache = format!("file://{}", nix.path("cache").display());
        let features = ["--extra-experimental-features", "nix-command"];
        let key = key.public_key().to_string();
        let verify = ["store", "verify", "--store", &cache, "--trusted-public-keys", &key, &path];
        nix.run("nix", &[&features[..], &verify].concat()).status.success()
    };
    assert!(!verify(&narinfo));
    narinfo.sign(&key);
    assert!(verify(&narinfo));
    narinfo.info.references.clear();
    assert!(!verify(&narinfo));
}

#[test]
fn every_field_is_read() {
    let narinfo = NarInfo::parse(&text()).expect("valid");
    assert_eq!(narinfo.to_string(), text());
    assert_eq!((narinfo.info.nar.size(), narinfo.file_size), (120, Some(9)));
    assert_eq!(narinfo.info.references.len(), 2);
    let fingerprint = narinfo.info.fingerprint(&narinfo.path);
    let zeros = "0".repeat(52);
    let references = format!("/nix/store/{HASH}-w,/nix/store/{HASH}-x");
    assert_eq!(fingerprint, format!("1;/nix/store/{HASH}-x;sha256:{zeros};120;{references}"));
}

#[test]
fn what_is_not_said_has_the_meaning_that_nix_gives_it() {
    let hex = text().replacen(&"0".repeat(52), &"0".repeat(64), 2);
    assert_eq!(NarInfo::parse(&hex).expect("valid").to_string(), text());
    let read = |remove: &str, with: &str| NarInfo::parse(&text().replace(remove, with)).expect(remove);
    assert_eq!(read("Compression: none\n", "").compression, Compression::Bzip2);
    assert_eq!(read(&format!("{HASH}-x.drv"), "unknown-deriver").deriver, None);
    assert!(read(&format!("{HASH}-w {HASH}-x"), "").info.references.is_empty());
    assert_eq!(read("URL:", "Unknown: field\nURL:").to_string(), text());
}

#[test]
fn what_is_malformed_is_refused() {
    use NarInfoError as E;
    type Check = fn(&NarInfoError) -> bool;
    let cases: [(&str, &str, Check); 15] = [
        ("NarSize: 120\n", "", |error| matches!(error, E::Missing { field: "NarSize" })),
        ("URL: nar/x.nar\n", "", |error| matches!(error, E::Missing { field: "URL" })),
        ("References: ", "Refs: ", |error| matches!(error, E::Missing { field: "References" })),
        ("NarSize: 120\n", "NarSize: 1\nNarSize: 1\n", |error| matches!(error, E::Twice { field: "NarSize" })),
        ("NarSize: 120", "NarSize: 0", |error| matches!(error, E::Value { field: "NarSize", .. })),
        ("NarSize: 120", "NarSize: +1", |error| matches!(error, E::Value { field: "NarSize", .. })),
        ("NarSize: 120", "NarSize: 18446744073709551616", |error| matches!(error, E::Value { .. })),
        ("none", "zip", |error| matches!(error, E::Value { field: "Compression", .. })),
        ("nar/x.nar", "nar/x .nar", |error| matches!(error, E::Value { field: "URL", .. })),
        ("NarHash: sha256", "NarHash: sha512", |error| matches!(error, E::Hash { field: "NarHash", .. })),
        ("Deriver: ", "Deriver: /nix/store/", |error| matches!(error, E::Path { field: "Deriver", .. })),
        ("StorePath: /nix/store/", "StorePath: ", |error| matches!(error, E::Path { field: "StorePath", .. })),
        ("CA: ", "Sig: x\nCA: ", |error| matches!(error, E::Signature { .. })),
        ("URL: ", "URL:", |error| matches!(error, E::Line { line: 2 })),
        ("CA: ", "\nCA: ", |error| matches!(error, E::Line { line: 10 })),
    ];
    for (remove, with, is_right) in cases {
        let error = NarInfo::parse(&text().replacen(remove, with, 1)).expect_err(with);
        assert!(is_right(&error), "{with}: {error:?}");
    }
    assert!(matches!(NarInfo::parse(text().trim_end()), Err(E::Line { line: 10 })));
    assert!(matches!(NarInfo::parse(&"x".repeat(MAX_NARINFO_BYTES + 1)), Err(E::TooLarge { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn no_text_makes_it_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<char>(), 0..3), 1..4),
    ) {
        let mut chars: Vec<char> = text().chars().collect();
        for (at, char, how) in changes {
            let at = at.index(chars.len());
            match how {
                0 => chars[at] = char,
                1 => chars.insert(at, char),
                _ => drop(chars.remove(at)),
            }
        }
        if let Ok(read) = NarInfo::parse(&chars.into_iter().collect::<String>()) {
            prop_assert_eq!(NarInfo::parse(&read.to_string()).expect("written here"), read);
        }
    }
}
