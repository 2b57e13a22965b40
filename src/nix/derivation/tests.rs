use super::super::tests::Nix;
use super::*;

const HASH: &str = "0123456789abcdfghijklmnpqrsvwxyz";

/// Derivations of every form that is supported.
const SUPPORTED: &str = r#"
let
  make = name: more: derivation ({ inherit name; system = "x86_64-linux"; builder = "/bin/sh"; } // more);
  source = builtins.toFile "source" "text";
  several = make "several" { outputs = [ "out" "dev" "man" ]; };
in {
  plain = make "plain" { inherit source; args = [ "-c" "quote \" slash \\ tab \t return \r line \n é" "" ]; empty = ""; };
  user = make "user" { a = several.dev; b = several.man; c = several; inherit source; "odd-name" = [ 1 true null ]; };
  flat = make "flat" { outputHashAlgo = "sha256"; outputHash = builtins.hashString "sha256" "a"; };
  tree = make "tree" { outputHashMode = "recursive"; outputHashAlgo = "sha512"; outputHash = builtins.hashString "sha512" "a"; };
  old = make "old" { outputHashAlgo = "md5"; outputHash = builtins.hashString "md5" "a"; };
  structured = make "structured" { __structuredAttrs = true; list = [ 1 { a = "\""; } ]; requiredSystemFeatures = [ "kvm" ]; };
}
"#;

fn minimal(output: &str, input: &str, source: &str, rest: &str) -> String {
    format!("Derive([{output}],[{input}],[{source}],\"s\",\"/bin/sh\",[],[{rest}])")
}

fn output(name: &str, algorithm: &str, hash: &str) -> String {
    format!("(\"{name}\",\"/nix/store/{HASH}-x\",\"{algorithm}\",\"{hash}\")")
}

fn parse(text: &str) -> Result<Derivation, DerivationError> {
    Derivation::parse(text.as_bytes())
}

fn check(variables: &str) -> Result<(), Unsupported> {
    parse(&minimal(&output("out", "", ""), "", "", variables)).expect("of a known form").check_supported()
}

/// Returns the texts of the derivations that an expression makes.
fn instantiated(nix: &Nix, expression: &str) -> Vec<Vec<u8>> {
    let features = ["--option", "extra-experimental-features", "ca-derivations impure-derivations"];
    nix.succeed("nix-instantiate", &[&features[..], &["--expr", expression]].concat());
    let files = std::fs::read_dir(nix.real_path("/nix/store")).expect("made by Nix");
    let paths = files.map(|file| file.expect("readable").path());
    let derivations = paths.filter(|path| path.extension().is_some_and(|extension| extension == "drv"));
    derivations.map(|path| std::fs::read(path).expect("readable")).collect()
}

#[test]
fn what_nix_writes_is_read_and_written_again() {
    let texts = instantiated(&Nix::new(), SUPPORTED);
    assert_eq!(texts.len(), 7);
    for text in texts {
        let derivation = Derivation::parse(&text).expect("written by Nix");
        derivation.check_supported().expect("supported");
        assert_eq!(derivation.encode().as_bytes(), text);
    }
}

#[test]
fn what_is_read_is_what_nix_says_of_it() {
    let nix = Nix::new();
    let user = std::fs::read(nix.real_path(&user_of(&nix))).expect("there");
    let user = Derivation::parse(&user).expect("written by Nix");
    let references = nix.succeed("nix-store", &["--query", "--references", &user_of(&nix)]);
    let inputs = user.input_derivations.keys().chain(&user.input_sources).map(ToString::to_string);
    let mut references: Vec<&str> = references.lines().collect();
    let mut inputs: Vec<String> = inputs.collect();
    references.sort_unstable();
    inputs.sort_unstable();
    assert_eq!(inputs, references);
    let used: Vec<&String> = user.input_derivations.values().flatten().collect();
    assert_eq!(used, ["dev", "man", "out"]);
    assert_eq!(user.environment["odd-name"], "1 1 ");
    let outputs = nix.succeed("nix-store", &["--query", "--outputs", &user_of(&nix)]);
    assert_eq!(user.outputs["out"].path.to_string(), outputs);
}

fn user_of(nix: &Nix) -> String {
    nix.succeed("nix-instantiate", &["--expr", SUPPORTED, "--attr", "user"])
}

#[test]
fn fixed_outputs_have_a_method_and_a_hash() {
    let zeros = "0".repeat(64);
    let flat = parse(&minimal(&output("out", "sha256", &zeros), "", "", "")).expect("valid");
    assert!(flat.is_fixed());
    let expected = NixHash::new(HashAlgorithm::Sha256, &[0; 32]).expect("as long as it should be");
    assert_eq!(flat.outputs["out"].kind, OutputKind::Fixed { method: HashMethod::Flat, hash: expected });
    let hashes =
        [("sha256", &zeros[1..]), ("sha999", &zeros), ("r:", &zeros), ("", &zeros), ("r:sha256", &zeros[..52])];
    for (algorithm, hash) in hashes {
        let error = parse(&minimal(&output("out", algorithm, hash), "", "", "")).expect_err(algorithm);
        assert!(matches!(error, DerivationError::Hash { .. }), "{algorithm}: {error:?}");
    }
    let (fixed, other) = (output("out", "sha256", &zeros), output("dev", "", ""));
    for outputs in [String::new(), output("dev", "sha256", &zeros), format!("{other},{fixed}")] {
        assert!(matches!(parse(&minimal(&outputs, "", "", "")), Err(DerivationError::Outputs)), "{outputs}");
    }
}

#[test]
fn forms_that_are_not_supported_are_refused_by_name() {
    let make = "derivation { name = \"x\"; system = \"s\"; builder = \"b\"; ";
    let floating =
        format!("{make} __contentAddressed = true; outputHashMode = \"recursive\"; outputHashAlgo = \"sha256\"; }}");
    let forms = [
        (floating.clone(), "content-addressed"),
        (format!("{make} __impure = true; }}"), "impure"),
        (format!("{make} dependency = {floating}; }}"), "content-addressed"),
    ];
    for (expression, reason) in forms {
        let texts = instantiated(&Nix::new(), &expression);
        let errors: Vec<_> = texts.iter().map(|text| Derivation::parse(text).expect_err(reason)).collect();
        assert!(!errors.is_empty());
        for error in errors {
            assert!(matches!(&error, DerivationError::Unsupported(_)), "{error:?}");
            assert!(error.to_string().contains(reason), "{error}");
        }
    }
    let dynamic = parse("DrvWithVersion(\"xp-dyn-drv\",[])");
    assert!(matches!(dynamic, Err(DerivationError::Unsupported(Unsupported::Dynamic))));
    let text = parse(&minimal(&output("out", "text:sha256", ""), "", "", ""));
    assert!(matches!(text, Err(DerivationError::Unsupported(Unsupported::Method { .. }))));
    let deferred = parse(&minimal("(\"out\",\"\",\"\",\"\")", "", "", ""));
    assert!(matches!(deferred, Err(DerivationError::Unsupported(Unsupported::Deferred { .. }))));
}

#[test]
fn what_envserve_does_not_build_is_refused_by_name() {
    assert_eq!(check("(\"__noChroot\",\"\"),(\"requiredSystemFeatures\",\"kvm big-parallel\")"), Ok(()));
    assert_eq!(check("(\"__noChroot\",\"1\")"), Err(Unsupported::NoChroot));
    assert_eq!(check("(\"requiredSystemFeatures\",\"kvm\\nrecursive-nix\")"), Err(Unsupported::RecursiveNix));
    let json = |text: &str| check(&format!("(\"__json\",\"{}\")", text.replace('"', "\\\"")));
    assert_eq!(json("{\"__noChroot\":false,\"requiredSystemFeatures\":[\"kvm\"]}"), Ok(()));
    assert_eq!(json("{\"__noChroot\":true}"), Err(Unsupported::NoChroot));
    assert_eq!(json("{\"requiredSystemFeatures\":[\"recursive-nix\"]}"), Err(Unsupported::RecursiveNix));
    for broken in ["", "[]", "{\"__noChroot\":1}", "{\"requiredSystemFeatures\":\"x\"}", &"[".repeat(10_000)] {
        assert_eq!(json(broken), Err(Unsupported::Structured), "{broken:.40}");
    }
    let builtin = minimal(&output("out", "", ""), "", "", "").replace("/bin/sh", "builtin:fetchurl");
    let error = parse(&builtin).expect("of a known form").check_supported();
    assert_eq!(error, Err(Unsupported::Builtin { builder: "builtin:fetchurl".into() }));
    let source = minimal(&output("out", "", ""), "", &format!("\"/nix/store/{HASH}-x.drv\""), "");
    let error = parse(&source).expect("of a known form").check_supported();
    assert!(matches!(error, Err(Unsupported::DerivationAsSource { .. })));
}

#[test]
fn errors_say_where_and_what_was_expected() {
    let valid = minimal(&output("out", "", ""), "", "", "(\"a\",\"b\")");
    parse(&valid).expect("valid");
    let wrong = [
        (valid.replace("Derive(", "Drive("), 0, "Derive("),
        (format!("{valid} "), valid.len(), "the end"),
        (valid[..valid.len() - 1].to_owned(), valid.len() - 1, ")"),
        (valid.replace("\"a\",", "\"a\" ,"), valid.len() - 7, ","),
        (valid.replacen("[]", "[ ]", 1), valid.find("[]").expect("there") + 1, "("),
        (valid.replace("\"b\"", "\"\\x\""), valid.len() - 5, "one of \\\" \\\\ \\n \\r \\t"),
    ];
    for (text, at, what) in wrong {
        match parse(&text) {
            Err(DerivationError::Syntax { offset, expected, .. }) => {
                assert_eq!((offset, expected), (at, what), "{text}")
            }
            other => panic!("{text}: {other:?}"),
        }
    }
    for raw in ["\n", "\t", "\r", "\0"] {
        let error = parse(&valid.replace("\"b\"", &format!("\"{raw}\"")));
        assert!(matches!(error, Err(DerivationError::Syntax { .. })), "{raw:?}: {error:?}");
    }
    let mut bytes = valid.clone().into_bytes();
    bytes[valid.len() - 5] = 0xff;
    match Derivation::parse(&bytes) {
        Err(DerivationError::Utf8 { offset, .. }) => assert_eq!(offset, valid.len() - 5),
        other => panic!("{other:?}"),
    }
}

#[test]
fn lists_out_of_order_and_strings_that_are_no_paths_are_refused() {
    let out = output("out", "", "");
    let path = |name: &str| format!("\"/nix/store/{HASH}-{name}\"");
    let disordered = [
        minimal(&format!("{out},{out}"), "", "", ""),
        minimal(&out, &format!("({},[\"out\",\"dev\"])", path("a.drv")), "", ""),
        minimal(&out, "", &format!("{},{}", path("b"), path("a")), ""),
        minimal(&out, "", "", "(\"b\",\"\"),(\"a\",\"\")"),
        minimal(&out, "", "", "(\"a\",\"\"),(\"a\",\"\")"),
    ];
    for text in disordered {
        assert!(matches!(parse(&text), Err(DerivationError::Order { .. })), "{text}");
    }
    for text in [minimal(&out, "", "\"/etc/passwd\"", ""), minimal(&output("a/b", "", ""), "", "", "")] {
        assert!(matches!(parse(&text), Err(DerivationError::Path { .. })), "{text}");
    }
    let input = parse(&minimal(&out, &format!("({},[])", path("a")), "", ""));
    assert!(matches!(input, Err(DerivationError::NotDerivation { .. })));
    let large = Derivation::parse(&vec![b'x'; MAX_DERIVATION_BYTES + 1]);
    assert!(matches!(large, Err(DerivationError::TooLarge { .. })));
}
