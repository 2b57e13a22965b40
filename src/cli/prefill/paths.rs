//! Which specs: files, directories and lists of them.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::error::PrefillError;

/// A spec, or why there is none.
pub(super) type Found = Result<PathBuf, (PathBuf, io::Error)>;

/// Returns the specs that arguments and lists name, in their order. What a directory holds is sorted, and what lies
/// deeper is not looked at.
///
/// # Errors
/// When a list cannot be read.
pub(super) fn find(paths: &[PathBuf], lists: &[PathBuf]) -> Result<Vec<Found>, PrefillError> {
    let mut found: Vec<Found> = paths.iter().flat_map(|path| specs(path)).collect();
    for list in lists {
        let failed = |source| PrefillError::List { path: list.clone(), source };
        let base = if is_stdin(list) { None } else { list.parent() };
        for path in lines(&text(list).map_err(failed)?) {
            found.extend(specs(&base.map_or_else(|| path.to_owned(), |base| base.join(path))));
        }
    }
    Ok(found)
}

fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

fn text(list: &Path) -> io::Result<String> {
    let mut text = String::new();
    if is_stdin(list) {
        io::stdin().read_to_string(&mut text)?;
    } else {
        text = fs::read_to_string(list)?;
    }
    Ok(text)
}

/// Returns the paths of a list: one a line, where what begins with `#` is a comment.
fn lines(list: &str) -> impl Iterator<Item = &Path> {
    list.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).map(Path::new)
}

fn specs(path: &Path) -> Vec<Found> {
    if !path.is_dir() {
        // Whether it is there is found out when it is read.
        return vec![Ok(path.to_owned())];
    }
    match in_directory(path) {
        Ok(specs) if specs.is_empty() => {
            let none = io::Error::new(io::ErrorKind::NotFound, "there is no `*.json` in this directory");
            vec![Err((path.to_owned(), none))]
        }
        Ok(specs) => specs.into_iter().map(Ok).collect(),
        Err(error) => vec![Err((path.to_owned(), error))],
    }
}

fn in_directory(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let paths =
        fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    let is_json = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "json") && !path.is_dir();
    let mut specs: Vec<PathBuf> = paths.into_iter().filter(is_json).collect();
    specs.sort_unstable();
    Ok(specs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_sorted_and_not_gone_into_and_lists_are_relative_to_themselves() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for name in ["specs/b.json", "specs/a.json", "specs/deeper/c.json", "specs/README", "one.json", "empty/x"] {
            fs::create_dir_all(at(name).parent().unwrap()).unwrap();
            fs::write(at(name), "").unwrap();
        }
        fs::create_dir(at("specs/directory.json")).unwrap();
        fs::write(at("list"), "# all\n\n  specs  \none.json\nnone.json\nempty\r\n/absolute.json\n").unwrap();
        let found = find(&[at("one.json")], &[at("list")]).unwrap();
        let expected = ["one.json", "specs/a.json", "specs/b.json", "one.json", "none.json", "/absolute.json"].map(at);
        let there: Vec<&PathBuf> = found.iter().flatten().collect();
        assert_eq!(there, expected.iter().collect::<Vec<_>>());
        let missing: Vec<&PathBuf> =
            found.iter().filter_map(|found| found.as_ref().err()).map(|(path, _)| path).collect();
        assert_eq!(missing, [&at("empty")]);
        assert!(matches!(find(&[], &[at("no list")]), Err(PrefillError::List { .. })));
    }
}
