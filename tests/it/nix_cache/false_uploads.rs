//! Uploads that do not tell the truth: none of them becomes an object.

use super::*;

/// Uploads an archive under a narinfo and returns the status and what was said.
fn upload(cache: &Cache, object: &str, narinfo: &str, nar: &[u8]) -> (u16, String) {
    assert_eq!(cache.put(&field(narinfo, "URL"), nar).status, 201);
    let answer = cache.put(&narinfo_name(object), narinfo);
    (answer.status, answer.text())
}

/// Replaces a field of a narinfo.
fn with(narinfo: &str, name: &str, value: &str) -> String {
    narinfo.replace(&format!("{name}: {}\n", field(narinfo, name)), &format!("{name}: {value}\n"))
}

#[test]
fn narinfos_that_lie_are_refused_and_nothing_is_seen_of_them() {
    let cache = Cache::new(&["--nix-upload"]);
    let (files, object) = Files::new(&Nix::old(&cache.world, "maker"));
    let (narinfo, source) =
        (files.narinfo(&object), format!("/nix/store/{}", field(&files.narinfo(&object), "References")));
    let nar = files.nar(&narinfo);
    let (status, text) = upload(&cache, &object, &narinfo, &nar);
    assert!(status == 409 && text.contains("upload that first"), "{status} {text}");
    files.upload(&cache, &source);
    let size: usize = field(&narinfo, "NarSize").parse().expect("a number");
    let base_name = object.trim_start_matches("/nix/store/");
    let zeros = "0".repeat(32);
    for (name, value, status) in [
        ("NarSize", (size - 8).to_string(), 400),
        ("NarSize", (size + 8).to_string(), 400),
        ("NarSize", (1_u64 << 50).to_string(), 413),
        ("NarHash", format!("sha256:{}", "0".repeat(52)), 400),
        ("StorePath", format!("/elsewhere/store/{base_name}"), 400),
        ("StorePath", format!("/nix/store/{zeros}-x"), 400),
        ("StorePath", format!("{object}/../x"), 400),
        ("Compression", "xz".into(), 400),
        ("Compression", "zstd".into(), 400),
        ("Compression", "rar".into(), 400),
        ("References", format!("{} {base_name}", field(&narinfo, "References")), 400),
        ("References", format!("{zeros}-x"), 409),
        ("References", "..".into(), 400),
    ] {
        let (found, text) = upload(&cache, &object, &with(&narinfo, name, &value), &nar);
        assert_eq!(found, status, "{name}: {value}: {text}");
        assert_eq!(cache.get(&narinfo_name(&object)).status, 404);
    }
    let answer = cache.put(&narinfo_name(&object), with(&narinfo, "URL", "nar/never.nar"));
    assert_eq!(answer.status, 409, "{}", answer.text());
    for text in ["", "\0", "StorePath", &narinfo[..40]] {
        assert_eq!(cache.put(&narinfo_name(&object), text).status, 400);
    }
    assert_eq!(upload(&cache, &object, &narinfo, &nar).0, 201);
}

#[test]
fn archives_that_nix_does_not_write_are_refused() {
    let cache = Cache::new(&["--nix-upload"]);
    let object = format!("/nix/store/{}-x", "0".repeat(32));
    let valid = directory(&[("a", "1"), ("b", "2")]);
    let narinfo = |nar: &[u8]| {
        let hash = envserve::digest::DigestFunction::Sha256.digest(nar).hash();
        let size = nar.len().max(1);
        format!(
            "StorePath: {object}\nURL: nar/x.nar\nCompression: none\nNarHash: sha256:{hash}\nNarSize: {size}\nReferences: \n"
        )
    };
    let cases = [
        ("unsorted", directory(&[("b", "1"), ("a", "2")])),
        ("twice", directory(&[("a", "1"), ("a", "2")])),
        ("..", directory(&[("..", "1")])),
        ("a/b", directory(&[("a/b", "1")])),
        ("NUL", directory(&[("a\0b", "1")])),
        ("empty name", directory(&[("", "1")])),
        ("truncated", valid[..valid.len() - 16].to_vec()),
        ("trailing", [&valid[..], &[0; 8]].concat()),
        ("no archive", b"no archive at all".to_vec()),
        ("empty", Vec::new()),
    ];
    for (name, nar) in cases {
        let (status, text) = upload(&cache, &object, &narinfo(&nar), &nar);
        assert_eq!(status, 400, "{name}: {text}");
        assert!(text.contains("cannot be unpacked"), "{name}: {text}");
        assert_eq!(cache.get(&narinfo_name(&object)).status, 404);
    }
    assert_eq!(upload(&cache, &object, &narinfo(&valid), &valid).0, 201);
}

#[test]
fn an_object_never_becomes_another() {
    let cache = Cache::new(&["--nix-upload"]);
    let (files, object) = Files::new(&Nix::old(&cache.world, "maker"));
    files.upload(&cache, &object);
    let before = cache.get(&narinfo_name(&object)).text();
    let narinfo = files.narinfo(&object);
    // The same once more is no error.
    assert_eq!(upload(&cache, &object, &narinfo, &files.nar(&narinfo)).0, 201);
    let other = with(&narinfo, "NarHash", &format!("sha256:{}", "0".repeat(52)));
    let renamed = with(&narinfo, "StorePath", &object.replace("-user", "-another"));
    for narinfo in [other, renamed] {
        assert_eq!(upload(&cache, &object, &narinfo, b"any").0, 409);
    }
    assert_eq!(cache.get(&narinfo_name(&object)).text(), before);
}

#[test]
fn what_is_too_large_or_has_no_place_is_refused_before_it_is_read() {
    let cache = Cache::new(&["--nix-upload"]);
    let length = (1_u64 << 40).to_string();
    let answer = cache.request("PUT", "nar/x.nar", &[("Content-Length", &length), ("Expect", "100-continue")], b"");
    assert_eq!(answer.status, 413, "{}", answer.text());
    let narinfo = format!("{}.narinfo", "0".repeat(32));
    assert_eq!(cache.put(&narinfo, vec![b'x'; (4 << 20) + 1]).status, 400);
    for path in ["log/x.drv", "nar/a/b", "x.narinfo", "realisations/x", "nix-cache-info"] {
        let answer = cache.put(path, "text");
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.text().contains("cannot be uploaded"), "{}", answer.text());
    }
    let answer = cache.request("PUT", "nar/x.nar", &[("Content-Encoding", "gzip")], b"text");
    assert_eq!(answer.status, 415);
    assert_eq!(cache.put("nar/x.nar", "text").status, 201);
    for method in ["GET", "HEAD"] {
        assert_eq!(cache.request(method, "nar/x.nar", &[], b"").status, 404);
    }
}

/// Returns the archive of a directory of files, in the order given.
fn directory(files: &[(&str, &str)]) -> Vec<u8> {
    let mut words = vec!["nix-archive-1", "(", "type", "directory"];
    for (name, contents) in files {
        words.extend(["entry", "(", "name", name, "node", "(", "type", "regular", "contents", contents, ")", ")"]);
    }
    words.push(")");
    let mut nar = Vec::new();
    for word in words {
        nar.extend((word.len() as u64).to_le_bytes());
        nar.extend(word.as_bytes());
        nar.resize(nar.len().next_multiple_of(8), 0);
    }
    nar
}
