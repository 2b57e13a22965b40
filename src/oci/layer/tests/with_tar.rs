//! Layers and the real `tar`.

use super::*;

fn tar(arguments: &[&str], directory: &Path) -> Vec<u8> {
    let output = Command::new("tar").args(arguments).current_dir(directory).env("LC_ALL", "C.UTF-8").output();
    let output = output.expect("tar is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[tokio::test]
async fn tar_lists_what_is_written() {
    let store = MemoryBlobStore::default();
    let (root, attributes) = everything(&store).await;
    let directory = tempfile::tempdir().expect("temporary");
    std::fs::write(directory.path().join("layer"), written(&store, root, &attributes).await).expect("temporary");
    let listed = tar(&["--numeric-owner", "--quoting-style=literal", "-tvf", "layer"], directory.path());
    let listed = String::from_utf8(listed).expect("UTF-8");
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = listed.lines().map(words).collect();
    let found = |start: &str, end: &str| lines.iter().any(|line| line.starts_with(start) && line.ends_with(end));
    for (start, end) in [
        ("drwx------ 0/0 0 1970-01-01", " ./"),
        ("-rwsr-xr-x 3000000/4294967295 2 ", " bin/ping"),
        ("hrwsr-xr-x 3000000/4294967295 0 ", " bin/same link to bin/ping"),
        ("lrwxrwxrwx 7/0 0 ", " bin/link -> ping"),
        ("crw-rw-rw- 7/0 1,3 ", " dev/null"),
        ("brw-rw-rw- 7/0 4095,1048575 ", " dev/sda"),
        ("prw-rw-rw- 7/0 0 ", " dev/fifo"),
        ("drwxr-xr-x 7/0 0 ", " directory/"),
        ("-rw-r--r-- 0/0 0 ", " directory/.wh..wh..opq"),
        ("-rw-r--r-- 0/0 0 ", " etc/.wh.old"),
        ("-rw-r--r-- 0/0 4 ", &format!(" {}", long("n"))),
        ("lrwxrwxrwx 0/0 0 ", &format!(" long -> {}", long("t"))),
        ("hrw-r--r-- 0/0 0 ", " é/ü2 link to é/ü"),
    ] {
        assert!(found(start, end), "{start} {end}: {lines:#?}");
    }
    assert!(!found("d", " etc/"), "{lines:#?}");
    let place = |end: &str| lines.iter().position(|line| line.ends_with(end));
    assert!(place(" directory.txt") > place(" directory/large") && place(" directory/") < place(".wh..wh..opq"));
}

#[tokio::test]
async fn what_tar_packs_is_read_and_what_is_written_tar_unpacks() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    let directory = tempfile::tempdir().expect("temporary");
    let here = directory.path().join("tree");
    std::fs::create_dir_all(here.join(long("d"))).expect("temporary");
    std::fs::write(here.join(long("d")).join("é"), b"deep").expect("temporary");
    std::fs::write(here.join("program"), vec![7; 3 << 20]).expect("temporary");
    std::fs::set_permissions(here.join("program"), std::fs::Permissions::from_mode(0o750)).expect("temporary");
    std::fs::hard_link(here.join("program"), here.join("again")).expect("temporary");
    symlink(long("t"), here.join("link")).expect("temporary");
    let packed = |format: &str, more: &[&str]| {
        let format = format!("--format={format}");
        let arguments = ["-c", &format, "--numeric-owner", "--owner=5", "--group=6", "--mtime=@12", "--sort=name"];
        tar(&[&arguments[..], more, &["-C", "tree", "."]].concat(), directory.path())
    };
    let store = MemoryBlobStore::default();
    let gnu = read(&store, &packed("gnu", &[])).await.expect("valid");
    let pax = read(&store, &packed("pax", &[])).await.expect("valid");
    let gzip = read(&store, &packed("gnu", &["-z"])).await.expect("valid");
    assert_eq!((gnu.root, &gnu.attributes), (pax.root, &pax.attributes));
    assert_eq!((gnu.root, gnu.archive), (gzip.root, gzip.archive));
    let metadata = |mode| Metadata { mode, uid: 5, gid: 6, mtime: 12, xattrs: BTreeMap::new() };
    let exceptions = &gnu.attributes.exceptions;
    assert_eq!(exceptions[&path("again")], Exception::Node(metadata(Some(0o750))));
    assert_eq!(exceptions[&path("program")], Exception::HardLink { target: path("again") });
    assert_eq!(exceptions[&path("link")], Exception::Node(metadata(None)));
    assert_eq!(exceptions[&RelativePath::root()], Exception::Node(metadata(None)));

    let there = directory.path().join("unpacked");
    std::fs::create_dir(&there).expect("temporary");
    std::fs::write(directory.path().join("layer"), written(&store, gnu.root, &gnu.attributes).await)
        .expect("temporary");
    tar(&["-xpf", "layer", "-C", "unpacked", "--no-same-owner"], directory.path());
    let [one, two] = ["program", "again"].map(|name| there.join(name).metadata().expect("there"));
    assert!(one.ino() == two.ino() && one.mode() & 0o7777 == 0o750 && one.mtime() == 12);
    assert_eq!(std::fs::read(there.join("program")).expect("readable"), vec![7; 3 << 20]);
    assert_eq!(std::fs::read(there.join(long("d")).join("é")).expect("readable"), b"deep");
    assert_eq!(there.join("link").read_link().expect("a link"), Path::new(&long("t")));
}

#[tokio::test]
async fn sparse_files_have_zeros_where_their_holes_are_in_every_form_that_tar_writes() {
    use std::os::unix::fs::FileExt;
    let directory = tempfile::tempdir().expect("temporary");
    let here = directory.path().join("tree");
    std::fs::create_dir_all(&here).expect("temporary");
    for (name, parts, end) in [("few", 2, 3 << 20), ("many", 60, 60 << 16), ("hole", 0, 1 << 20), ("ends-full", 9, 0)] {
        let file = std::fs::File::create(here.join(name)).expect("temporary");
        for part in 0..parts {
            let content = vec![u8::try_from(part + 1).expect("small"); 4096];
            file.write_all_at(&content, part << 16).expect("temporary");
        }
        if end > 0 {
            file.set_len(end).expect("temporary");
        }
    }
    let packed = |options: &[&str]| {
        let always = ["-c", "--mtime=@12", "--sort=name"];
        tar(&[&always[..], options, &["-C", "tree", "."]].concat(), directory.path())
    };
    let store = MemoryBlobStore::default();
    let whole = packed(&["--format=gnu"]);
    let expected = read(&store, &whole).await.expect("valid");
    for options in [
        &["--format=gnu"][..],
        &["--format=pax", "--sparse-version=1.0"],
        &["--format=pax", "--sparse-version=0.1"],
        &["--format=pax", "-z"],
    ] {
        let sparse = packed(&[&["--sparse", "--hole-detection=raw"], options].concat());
        assert!(sparse.len() < whole.len() / 3, "{options:?}: {} bytes", sparse.len());
        let found = read(&store, &sparse).await.unwrap_or_else(|error| panic!("{options:?}: {error}"));
        assert_eq!((found.root, &found.attributes), (expected.root, &expected.attributes), "{options:?}");
    }
    let error = read(&store, &packed(&["--format=pax", "--sparse-version=0.0"])).await;
    assert!(matches!(error, Err(LayerError::Syntax { .. })), "{error:?}");
}
