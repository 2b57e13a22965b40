//! The archives of overlays' upper layers, packed by the real `tar`.

use std::fs;
use std::os::unix::fs::MetadataExt;

use rustix::fs::{CWD, FileType, Mode, XattrFlags, lsetxattr, makedev, mknodat};

use super::*;

fn whiteout(path: &Path) {
    mknodat(CWD, path, FileType::CharacterDevice, Mode::empty(), makedev(0, 0)).expect("anybody may make those");
}

/// Packs the directory `upper`, and reads it as an upper layer.
async fn packed(store: &MemoryBlobStore, directory: &Path) -> Result<ReadLayer, LayerError> {
    let arguments = ["-c", "--format=pax", "--xattrs", "--xattrs-include=*", "--sort=name", "--owner=0", "--group=0"];
    let output = Command::new("tar").args(arguments).args(["-C", "upper", "."]).current_dir(directory).output();
    let bytes = output.expect("tar is installed").stdout;
    let options = LayerOptions { overlay: true, keep_times: false, ..LayerOptions::default() };
    read_layer(Cursor::new(bytes), store, FUNCTION, directory, options).await
}

#[tokio::test]
async fn devices_are_whiteouts_and_an_attribute_makes_directories_opaque() {
    let directory = tempfile::tempdir().expect("temporary");
    let upper = directory.path().join("upper");
    fs::create_dir_all(upper.join("opaque/inner")).expect("temporary");
    fs::create_dir(upper.join("plain")).expect("temporary");
    fs::write(upper.join("opaque/file"), "x").expect("temporary");
    whiteout(&upper.join("gone"));
    // The kernel uses one device for many.
    fs::hard_link(upper.join("gone"), upper.join("plain/gone-too")).expect("temporary");
    assert_eq!(fs::metadata(upper.join("gone")).expect("there").nlink(), 2);
    for (path, name, value) in [
        ("opaque", "user.overlay.opaque", "y"),
        ("plain", "user.overlay.opaque", "n"),
        ("plain", "user.overlay.impure", "y"),
        ("opaque/file", "user.overlay.origin", "o"),
        ("opaque/file", "user.kept", "k"),
    ] {
        lsetxattr(upper.join(path), name, value.as_bytes(), XattrFlags::empty()).expect("the file system has them");
    }
    let store = MemoryBlobStore::default();
    let layer = packed(&store, directory.path()).await.expect("a layer");
    let exceptions = layer.attributes.exceptions;
    let kept = Metadata { xattrs: [("user.kept".to_owned(), b"k".to_vec())].into(), ..Metadata::default() };
    let expected = [
        ("", Exception::Node(Metadata::default())),
        ("gone", Exception::Whiteout),
        ("opaque", Exception::Opaque(Metadata::default())),
        ("opaque/file", Exception::Node(kept)),
        ("plain/gone-too", Exception::Whiteout),
    ];
    assert_eq!(exceptions, expected.map(|(at, exception)| (path(at), exception)).into());
    // A layer like any other, it can be written.
    written(&store, layer.root, &Attributes { exceptions }).await;
}

#[tokio::test]
async fn a_file_with_the_name_of_a_whiteout_is_refused_for_a_layer_cannot_have_it() {
    let directory = tempfile::tempdir().expect("temporary");
    fs::create_dir(directory.path().join("upper")).expect("temporary");
    fs::write(directory.path().join("upper/.wh.file"), "").expect("temporary");
    let error = packed(&MemoryBlobStore::default(), directory.path()).await.expect_err("no layer has it");
    assert!(matches!(&error, LayerError::Entry { path, .. } if path.ends_with(".wh.file")), "{error}");
}
