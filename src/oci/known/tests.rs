use super::*;
use crate::digest::DigestFunction;
use crate::spec::{Config, DESCRIPTOR_VERSION, Description, Provenance, Provides, RelativePath};

fn sha256(text: &str) -> Digest {
    DigestFunction::Sha256.digest(text.as_bytes())
}

fn oci(text: &str) -> OciDigest {
    OciDigest::of(text.as_bytes())
}

/// Returns the key of an environment of that name, and an image that it may be.
fn environment(name: &str, image: &str) -> (KeyParts, Descriptor) {
    let description = Description::parse(br#"{"0":{"bindings":{},"environments_file":"ENVS","root":["git tree","1111111111111111111111111111111111111111"]}}"#);
    let parts = KeyParts {
        description: description.unwrap_or_else(|error| panic!("{error:?}")),
        module: RelativePath::root(),
        name: name.into(),
        effective_config: Config::default(),
    };
    let root = DigestFunction::Blake3.digest(image.as_bytes());
    let facts =
        ImageFacts { manifest: sha256(image), config: sha256("config"), layers: vec![sha256("a"), sha256("b")] };
    let descriptor = Descriptor {
        version: DESCRIPTOR_VERSION,
        kind: crate::spec::KindName::Image,
        root,
        tree: root,
        provides: Provides::default(),
        nix: None,
        image: Some(facts),
        checkpoint: None,
        provenance: Provenance { builder: "test".into(), actions: Vec::new(), built_at: 0, duration_ms: 0 },
    };
    (parts, descriptor)
}

fn open(directory: &tempfile::TempDir) -> KnownImages {
    KnownImages::new(Database::open(directory.path(), u64::MAX).expect("free"))
}

async fn note(known: &KnownImages, name: &str, image: &str) -> EnvKey {
    let (parts, descriptor) = environment(name, image);
    let key = parts.key();
    known.note(&key, &parts, &BTreeMap::new(), &descriptor).await.expect("written");
    key
}

#[tokio::test]
async fn all_parts_of_an_image_are_known_and_outlive_the_process() {
    let directory = tempfile::tempdir().expect("temporary");
    let key = note(&open(&directory), "web", "one").await;
    let known = open(&directory);
    let image = known.images(&oci("one")).await.expect("told").remove(0);
    assert_eq!((image.repository.as_str(), image.facts.layers.len()), ("web", 2));
    assert_eq!(KeyParts::parse(image.key.as_bytes(), image.description.as_bytes()).expect("canonical").key(), key);
    let compression = LayerCompression::None;
    for (blob, part) in [
        ("one", Part::Manifest(Form::STORED)),
        ("config", Part::Config),
        ("a", Part::Layer { number: 0, compression }),
        ("b", Part::Layer { number: 1, compression }),
    ] {
        assert_eq!(known.blobs(&oci(blob)).await.expect("told"), [KnownBlob::Part(oci("one"), part)], "{blob}");
    }
    assert_eq!(known.blobs(&oci("another")).await.expect("told"), []);
    let tag = format!("key-{}", key.digest().hash());
    for (repository, tag) in [("web", "latest"), ("web", &tag), ("elsewhere", &tag)] {
        assert_eq!(known.tag(repository, tag).await.expect("told"), Some(oci("one")), "{repository}:{tag}");
    }
    assert_eq!(known.tag("elsewhere", "latest").await.expect("told"), None);
}

#[tokio::test]
async fn a_blob_may_be_part_of_several_images() {
    let directory = tempfile::tempdir().expect("temporary");
    let known = open(&directory);
    note(&known, "web", "one").await;
    note(&known, "web", "two").await;
    assert_eq!(known.blobs(&oci("a")).await.expect("told").len(), 2);
}

#[tokio::test]
async fn the_tag_latest_follows_what_was_answered_last() {
    let directory = tempfile::tempdir().expect("temporary");
    let known = open(&directory);
    let latest = async || known.tag("web", "latest").await.expect("told").expect("there is one");
    for image in ["one", "two", "one", "one"] {
        note(&known, "web", image).await;
        assert_eq!(latest().await, oci(image));
    }
    let pushed = Pushed { blob: sha256("three"), media_type: Some(MediaType::Manifest(Family::Oci)) };
    known.put_pushed(&oci("three"), &pushed, Some(("web", "latest"))).await.expect("written");
    assert_eq!(latest().await, oci("three"));
    assert_eq!(known.blobs(&oci("three")).await.expect("told"), [KnownBlob::Pushed(pushed)]);
    note(&known, "web", "one").await;
    assert_eq!(latest().await, oci("one"));
}

#[tokio::test]
async fn tags_are_listed_in_order_and_of_one_repository() {
    let directory = tempfile::tempdir().expect("temporary");
    let known = open(&directory);
    let pushed = Pushed { blob: sha256("x"), media_type: None };
    for (repository, tag) in [("a", "2"), ("a", "1"), ("a", "3"), ("a/b", "4"), ("aa", "5")] {
        known.put_pushed(&oci("x"), &pushed, Some((repository, tag))).await.expect("written");
    }
    let tags = async |after, limit| known.tags("a", after, limit).await.expect("told");
    assert_eq!(tags(None, 10).await, ["1", "2", "3"]);
    assert_eq!(tags(None, 2).await, ["1", "2"]);
    assert_eq!(tags(Some("1"), 10).await, ["2", "3"]);
    assert_eq!(tags(Some("25"), 10).await, ["3"]);
    assert_eq!(tags(Some("3"), 10).await, Vec::<String>::new());
    assert_eq!(known.tags("b", None, 10).await.expect("told"), Vec::<String>::new());
}

#[tokio::test]
async fn forms_lead_to_the_image_that_they_are_of() {
    let directory = tempfile::tempdir().expect("temporary");
    let known = open(&directory);
    note(&known, "web", "one").await;
    let gzip = LayerCompression::Gzip;
    assert_eq!(known.compressed(&sha256("a"), gzip).await.expect("told"), None);
    let plain = Compressed { blob: sha256("a"), kept: None };
    assert_eq!(known.compressed(&sha256("a"), LayerCompression::None).await.expect("told"), Some(plain));
    let compressed = Compressed { blob: sha256("a.gz"), kept: Some(DigestFunction::Blake3.digest(b"a.gz")) };
    known.put_compressed(&sha256("a"), gzip, &compressed).await.expect("written");
    assert_eq!(known.compressed(&sha256("a"), gzip).await.expect("told"), Some(compressed));
    assert_eq!(known.compressed(&sha256("a"), LayerCompression::Zstd).await.expect("told"), None);
    let form = Form { family: Family::Docker, compression: gzip };
    let forms = ImageForms { manifest: sha256("docker"), layers: vec![sha256("a.gz"), sha256("b.gz")] };
    known.put_forms(&oci("one"), form, &forms).await.expect("written");
    let part = Part::Layer { number: 1, compression: gzip };
    assert_eq!(known.blobs(&oci("b.gz")).await.expect("told"), [KnownBlob::Part(oci("one"), part)]);
    for manifest in ["one", "docker"] {
        assert_eq!(known.images_of_manifest(&oci(manifest)).await.expect("told").len(), 1, "{manifest}");
    }
    assert!(known.images_of_manifest(&oci("a")).await.expect("told").is_empty());
}
