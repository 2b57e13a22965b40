//! Large input roots, which several actions share through overlays.

use super::super::fixture::{FUNCTION, Fixture, shell};
use crate::proto::reapi;
use crate::store::BlobStore;
use prost::Message;

/// An input root that is large enough to be shared.
fn large() -> Vec<(String, String)> {
    let many = (0..200).map(|number| (format!("many/{}/f{number}", number % 7), format!("content {number}")));
    let few = [("input", "original"), ("dir/kept", "kept"), ("dir/gone", "gone"), ("old/a", "a"), ("old/b", "b")];
    many.chain(few.map(|(path, text)| (path.to_owned(), text.to_owned()))).collect()
}

fn borrowed(inputs: &[(String, String)]) -> Vec<(&str, &str)> {
    inputs.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect()
}

/// Says that overlays are in use here, without which these tests would show nothing.
fn assert_shared(fixture: &Fixture, roots: usize) {
    let yards = std::fs::read_dir(fixture.directory.path().join("store/tmp")).unwrap();
    let inputs = yards.map(|yard| std::fs::read_dir(yard.unwrap().path().join("inputs")).unwrap().count());
    assert_eq!(inputs.sum::<usize>(), roots, "this host lets no overlays be mounted");
}

#[tokio::test]
async fn an_action_writes_what_it_likes_and_neither_the_store_nor_the_next_action_sees_it() {
    let fixture = Fixture::new();
    let inputs = large();
    let hostile = "chmod u+w input many/1/f1; echo changed > input; truncate -s 0 many/1/f1; mv dir/kept dir/moved; \
                   rm dir/gone; ln old/a linked; chmod 777 old/b; mv old new; rm -r many; mkdir many; cat input";
    let result = fixture.run(shell(hostile, &[]), &borrowed(&inputs)).await;
    assert_eq!((result.exit_code, fixture.stdout(&result).await.as_str()), (0, "changed\n"));
    assert_shared(&fixture, 1);
    for (_, text) in &inputs {
        let kept = fixture.store.get(&FUNCTION.digest(text.as_bytes())).await.unwrap();
        assert!(kept.is_some_and(|bytes| bytes == text.as_bytes()));
    }
    let look = "cat input dir/* old/*; find . -type f | wc -l; stat -c %a input old/b; find . -type l -o -links +1 -type f | wc -l";
    let result = fixture.run(shell(look, &[]), &borrowed(&inputs)).await;
    let (seen, links) = fixture
        .stdout(&result)
        .await
        .rsplit_once("444\n444\n")
        .map(|(seen, links)| (seen.to_owned(), links.to_owned()))
        .unwrap();
    assert_eq!(seen, "originalgonekeptab205\n");
    assert!(rustix::process::geteuid().as_raw() != 0 || links == "0\n", "{links}");
    assert_shared(&fixture, 1);
    assert_eq!(fixture.leftovers(), 0);
}

#[tokio::test]
async fn outputs_are_what_the_action_saw() {
    let fixture = Fixture::new();
    let script = "rm dir/gone; echo new > dir/new; rm -r old; mkdir old; echo c > old/c; chmod u+w input; echo more >> input; \
                  mkdir -p made/deep; mv dir/kept made/kept; ln -s ../input made/link";
    let inputs = large();
    let outputs = ["dir", "input", "made", "many/3/f3", "old", "dir/gone", "many/0"];
    let result = fixture.run(shell(script, &outputs), &borrowed(&inputs)).await;
    assert_shared(&fixture, 1);
    let files: Vec<&str> = result.output_files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(files, ["input", "many/3/f3"], "one was changed, one is only below");
    assert_eq!(fixture.blob(result.output_files[0].digest.as_ref()).await, "originalmore\n");
    assert_eq!(fixture.blob(result.output_files[1].digest.as_ref()).await, "content 3");
    let mut trees = Vec::new();
    for directory in &result.output_directories {
        let tree = reapi::Tree::decode(fixture.blob(directory.tree_digest.as_ref()).await).unwrap();
        let root = tree.root.unwrap();
        let mut names: Vec<String> = root.files.into_iter().map(|file| file.name).collect();
        names.extend(root.directories.into_iter().map(|node| node.name + "/"));
        names.extend(root.symlinks.into_iter().map(|node| node.name + "@"));
        trees.push((directory.path.clone(), names.len(), names.join(" ")));
    }
    let (below, changed) = trees.pop().zip(Some(trees)).unwrap();
    let changed: Vec<(&str, &str)> = changed.iter().map(|(path, _, names)| (path.as_str(), names.as_str())).collect();
    assert_eq!(changed, [("dir", "new"), ("made", "kept deep/ link@"), ("old", "c")]);
    assert_eq!((below.0.as_str(), below.1), ("many/0", 29));
}

#[tokio::test]
async fn outputs_below_shared_directories_have_their_parents_made_and_share_nothing() {
    let fixture = Fixture::new();
    let inputs = large();
    let result = fixture.run(shell("echo x > many/1/new/out", &["many/1/new/out"]), &borrowed(&inputs)).await;
    assert_eq!(result.output_files.len(), 1);
    let result = fixture.run(shell("ls many/1 | grep -c new || true", &[]), &borrowed(&inputs)).await;
    assert_eq!(fixture.stdout(&result).await, "0\n");
    assert_shared(&fixture, 1);
}

#[tokio::test]
async fn small_roots_are_copied_and_look_the_same() {
    let fixture = Fixture::new();
    let look = "stat -c '%a %u %g %h' input dir dir/kept";
    let small = fixture.run(shell(look, &[]), &[("input", "x"), ("dir/kept", "y")]).await;
    assert_shared(&fixture, 0);
    let shared = fixture.run(shell(look, &[]), &borrowed(&large())).await;
    assert_shared(&fixture, 1);
    let (small, shared) = (fixture.stdout(&small).await, fixture.stdout(&shared).await);
    assert!(small.starts_with("444 1000 1000 1\n755 1000 1000 "), "{small}");
    assert!(shared.starts_with("444 1000 1000 ") && shared.contains("755 1000 1000"), "{shared}");
}
