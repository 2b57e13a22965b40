use proptest::prelude::*;

use super::*;

fn paths(suffix: &'static str) -> impl Strategy<Value = StorePath> {
    let text = "[0-9a-df-np-sv-z]{32}-[a-z][a-zA-Z0-9+._?=-]{0,20}";
    text.prop_map(move |text| StorePath::from_base_name(&format!("{text}{suffix}")).expect("valid"))
}

prop_compose! {
    fn derivations()(
        outputs in prop::collection::btree_map("[a-z]{1,5}", paths(""), 1..4),
        inputs in prop::collection::btree_map(paths(".drv"), prop::collection::btree_set("[a-z]{1,4}", 0..3), 0..4),
        input_sources in prop::collection::btree_set(paths(""), 0..4),
        system in "[^\0]{0,9}",
        arguments in prop::collection::vec("[^\0]{0,30}", 0..5),
        environment in prop::collection::btree_map("[^\0]{0,9}", "[^\0]{0,40}|[\"\\\\\n\r\t]{0,9}", 0..9),
        builder in "[^\0]{0,9}",
    ) -> Derivation {
        let outputs = outputs.into_iter().map(|(name, path)| (name, Output { path, kind: OutputKind::InputAddressed }));
        let outputs = outputs.collect();
        Derivation { outputs, input_derivations: inputs, input_sources, system, builder, arguments, environment }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn every_derivation_is_read_as_it_was_written(derivation in derivations()) {
        prop_assert_eq!(Derivation::parse(derivation.encode().as_bytes()).expect("written here"), derivation);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Derivation::parse(&bytes);
        let _ = Derivation::parse(&[b"Derive(", &bytes[..]].concat());
    }

    #[test]
    fn a_changed_text_is_refused_or_read_for_what_it_is(
        derivation in derivations(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3), 1..4),
    ) {
        let mut text = derivation.encode().into_bytes();
        for (at, byte, how) in changes {
            let at = at.index(text.len());
            match how {
                0 => text[at] = byte,
                1 => text.insert(at, byte),
                _ => drop(text.remove(at)),
            }
        }
        if let Ok(read) = Derivation::parse(&text) {
            let _ = read.check_supported();
            prop_assert_eq!(read.encode().into_bytes(), text);
        }
    }
}
