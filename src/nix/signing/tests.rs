use proptest::prelude::*;

use super::super::tests::Nix;
use super::*;

#[test]
fn keys_of_nix_are_read_and_sign_the_same() {
    let nix = Nix::new();
    nix.succeed("nix-store", &["--generate-binary-cache-key", "cache-1", "secret", "public"]);
    let read = |name| std::fs::read_to_string(nix.path(name)).expect("written by Nix");
    let secret = SecretKey::parse(&read("secret")).expect("written by Nix");
    let public: PublicKey = read("public").parse().expect("written by Nix");
    assert_eq!(secret.to_secret_text(), read("secret"));
    assert_eq!(secret.public_key(), public);
    assert_eq!((public.to_string(), public.name()), (read("public"), "cache-1"));
    assert!(!format!("{secret:?}").contains(&secret.to_secret_text()[8..20]));
}

#[test]
fn a_signature_holds_for_its_text_and_its_key_alone() {
    let key = SecretKey::generate("a").expect("random");
    let signature = key.sign("text");
    let public = key.public_key();
    assert!(public.verifies("text", &signature.to_string().parse().expect("written here")));
    assert!(!public.verifies("texts", &signature));
    let same_name = SecretKey::generate("a").expect("random").public_key();
    assert!(!same_name.verifies("text", &signature));
    let renamed = PublicKey { name: "b".into(), ..public.clone() };
    assert!(!renamed.verifies("text", &signature));
    let mut other = signature;
    other.bytes[0] ^= 1;
    assert!(!public.verifies("text", &other));
}

#[test]
fn what_is_no_key_is_refused() {
    let text = SecretKey::generate("a").expect("random").to_secret_text();
    for name in ["", "a b", "a\n"] {
        assert!(matches!(SecretKey::generate(name), Err(SigningError::Name { .. })), "{name}");
        let renamed = format!("{name}{}", &text[1..]);
        assert!(matches!(SecretKey::parse(&renamed), Err(SigningError::Name { .. })), "{name}");
    }
    for wrong in [&text[..text.len() - 4], "a:", "a:!", &format!("{text}AAAA")] {
        assert!(matches!(SecretKey::parse(wrong), Err(SigningError::Bytes { .. })), "{wrong}");
    }
    assert!(matches!(text.parse::<PublicKey>(), Err(SigningError::Bytes { .. })));
    let mut other = text.into_bytes();
    other[2] = if other[2] == b'A' { b'B' } else { b'A' };
    let other = String::from_utf8(other).expect("ASCII");
    assert!(matches!(SecretKey::parse(&other), Err(SigningError::Halves { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn no_text_makes_it_panic(text in "[a-z]{0,3}:?([A-Za-z0-9+/]{84,90}={0,3}|\\PC{0,90})") {
        let _ = SecretKey::parse(&text);
        let _ = text.parse::<PublicKey>();
        if let Ok(signature) = text.parse::<Signature>() {
            prop_assert_eq!(signature.to_string(), text);
        }
    }
}
