use super::super::digest::OciDigest;
use super::super::media_type::LayerCompression;
use super::*;

fn layer(bytes: &[u8]) -> Descriptor {
    Descriptor::of(MediaType::Layer(Family::Oci, LayerCompression::Gzip), bytes)
}

fn manifest() -> Manifest {
    Manifest {
        family: Family::Oci,
        config: Descriptor::of(MediaType::Config(Family::Oci), b"{}"),
        layers: vec![layer(b"a"), layer(b"b")],
        annotations: Annotations::from([("org.example.key".into(), "é".into())]),
    }
}

fn text(manifest: &Manifest) -> String {
    String::from_utf8(manifest.canonical()).expect("JSON")
}

#[test]
fn what_was_written_is_read_again() {
    for family in [Family::Oci, Family::Docker] {
        let annotations = if family == Family::Oci { manifest().annotations } else { Annotations::new() };
        let written = Manifest { family, annotations, ..manifest() };
        assert_eq!(Manifest::parse(&written.canonical()).expect("valid"), written);
        assert_eq!(Manifest { family, ..manifest() }.canonical(), written.canonical());
        assert_eq!(written.descriptor().digest, OciDigest::of(&written.canonical()));
    }
}

#[test]
fn the_form_of_a_manifest_does_not_change() {
    let empty = Manifest { layers: Vec::new(), annotations: Annotations::new(), ..manifest() };
    assert_eq!(
        text(&empty),
        "{\"config\":{\"digest\":\"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\",\
         \"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"size\":2},\"layers\":[],\
         \"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"schemaVersion\":2}"
    );
}

#[test]
fn what_others_write_is_read() {
    let written = text(&manifest());
    let without_type = written.replace("\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",", "");
    assert_ne!(without_type, written);
    assert_eq!(Manifest::parse(without_type.as_bytes()).expect("valid"), manifest());
    let more = written.replacen('{', "{\"subject\":null, \"x\": [1],\n", 1);
    assert_eq!(Manifest::parse(more.as_bytes()).expect("valid"), manifest());
    let nothing = written.replacen("\"annotations\":{\"org.example.key\":\"é\"}", "\"annotations\":null", 1);
    assert!(Manifest::parse(nothing.as_bytes()).expect("valid").annotations.is_empty());
}

#[test]
fn manifests_that_lie_are_refused() {
    let good = text(&manifest());
    Manifest::parse(good.as_bytes()).expect("valid");
    for (from, to) in [
        ("\"schemaVersion\":2", "\"schemaVersion\":1"),
        ("\"size\":2", "\"size\":-2"),
        ("\"size\":2", "\"size\":2.5"),
        ("\"size\":2", "\"size\":\"2\""),
        ("\"size\":2", "\"size\":9007199254740992"),
        ("\"size\":2", "\"size\":1,\"size\":2"),
        ("sha256:", "sha512:"),
        ("sha256:4", "sha256:G"),
        ("image.config.v1+json", "empty.v1+json"),
        ("layer.v1.tar+gzip", "layer.nondistributable.v1.tar+gzip"),
        ("image.manifest.v1", "image.index.v1"),
        ("\"layers\":", "\"manifests\":[],\"layers\":"),
        ("\"layers\":", "\"fsLayers\":[],\"layers\":"),
        ("\"layers\":", "\"other\":"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from}");
        assert!(Manifest::parse(bad.as_bytes()).is_err(), "{to}");
    }
    for bad in ["", "[]", "null", "{}", &good[1..], &format!("{good}{good}")] {
        assert!(Manifest::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn lists_are_not_taken_for_fields_in_their_order() {
    let digest = OciDigest::of(b"x");
    let descriptor = |media_type: &str| format!("[\"{media_type}\",\"{digest}\",1]");
    let config = descriptor("application/vnd.oci.image.config.v1+json");
    let object = r#"{"mediaType":"M","digest":"D","size":1}"#;
    let object = object.replace('M', "application/vnd.oci.image.config.v1+json").replace('D', &digest.to_string());
    let manifest =
        |config: &str, layers: &str| format!("{{\"schemaVersion\":2,\"config\":{config},\"layers\":[{layers}]}}");
    Manifest::parse(manifest(&object, "").as_bytes()).expect("valid");
    let layer = descriptor("application/vnd.oci.image.layer.v1.tar");
    for bad in [format!("[2,null,{config},[]]"), manifest(&config, ""), manifest(&object, &layer)] {
        assert!(matches!(Manifest::parse(bad.as_bytes()), Err(DocumentError::Value { .. })), "{bad}");
    }
    for bad in [format!("[2,null,[{layer}]]"), format!("{{\"schemaVersion\":2,\"manifests\":[{layer}]}}")] {
        assert!(matches!(Index::parse(bad.as_bytes()), Err(DocumentError::Value { .. })), "{bad}");
    }
}

#[test]
fn what_is_too_much_is_refused() {
    let many = Manifest { layers: vec![layer(b"a"); MAX_DESCRIPTORS], ..manifest() };
    Manifest::parse(&many.canonical()).expect("just as many");
    let more = Manifest { layers: vec![layer(b"a"); MAX_DESCRIPTORS + 1], ..manifest() };
    assert!(matches!(Manifest::parse(&more.canonical()), Err(DocumentError::TooMany { what: "layers", .. })));
    let long = vec![b' '; super::super::document::MAX_DOCUMENT_BYTES + 1];
    assert!(matches!(Manifest::parse(&long), Err(DocumentError::TooLarge { .. })));
}

#[test]
fn an_index_chooses_by_platform() {
    let entry = |architecture: &str, variant: Option<&str>, media_type: MediaType, bytes: &[u8]| Descriptor {
        platform: Some(Platform { variant: variant.map(str::to_owned), ..Platform::linux(architecture) }),
        ..Descriptor::of(media_type, bytes)
    };
    let oci = || MediaType::Manifest(Family::Oci);
    let index = Index {
        family: Family::Oci,
        manifests: vec![
            entry("amd64", None, MediaType::Other("application/x-signature".into()), b"0"),
            Descriptor::of(oci(), b"1"),
            entry("amd64", None, oci(), b"2"),
            entry("amd64", None, oci(), b"3"),
            entry("amd64", Some("v3"), oci(), b"4"),
            entry("arm", Some("v6"), MediaType::Manifest(Family::Docker), b"5"),
            entry("unknown", None, oci(), b"6"),
        ],
        annotations: Annotations::new(),
    };
    let index = Index::parse(&index.canonical()).expect("valid");
    let chosen = |platform: Platform| index.choose(&platform).map(|entry| entry.digest);
    assert_eq!(chosen(Platform::linux("amd64")), Some(OciDigest::of(b"2")));
    let newer = Platform { variant: Some("v4".into()), ..Platform::linux("amd64") };
    assert_eq!(chosen(newer), Some(OciDigest::of(b"4")));
    assert_eq!(chosen(Platform::linux("arm")), Some(OciDigest::of(b"5")));
    assert_eq!(chosen(Platform::linux("s390x")), None);
    assert_eq!(chosen(Platform { os: "windows".into(), ..Platform::linux("amd64") }), None);
}

#[test]
fn an_index_is_no_manifest() {
    let index = Index { family: Family::Docker, manifests: Vec::new(), annotations: Annotations::new() };
    let written = String::from_utf8(index.canonical()).expect("JSON");
    assert_eq!(Index::parse(written.as_bytes()).expect("valid"), index);
    assert!(Manifest::parse(written.as_bytes()).is_err() && Index::parse(&manifest().canonical()).is_err());
    let both = written.replacen("\"manifests\"", "\"layers\":[],\"manifests\"", 1);
    assert!(matches!(Index::parse(both.as_bytes()), Err(DocumentError::Value { field: "layers", .. })));
}

#[test]
fn a_configuration_of_other_layers_is_noticed() {
    let config = ImageConfig { diff_ids: vec![OciDigest::of(b"a")], ..ImageConfig::new(Platform::linux("amd64")) };
    let error = manifest().check_config(&config);
    assert!(matches!(error, Err(DocumentError::Layers { layers: 2, diff_ids: 1 })));
    Manifest { layers: vec![layer(b"a")], ..manifest() }.check_config(&config).expect("as many");
}
