//! GetTree.

use prost::Message;
use tonic::Code;

use super::{INSTANCE, Served, lied, refused};
use crate::digest::Digest;
use crate::execute::fixture::FUNCTION;
use crate::proto::reapi;
use crate::store::{BlobStore, Directory, Node, collect_tree};

fn tree(root: Digest, page_size: i32, page_token: &str) -> reapi::GetTreeRequest {
    let (instance_name, page_token) = (INSTANCE.into(), page_token.to_owned());
    reapi::GetTreeRequest { instance_name, root_digest: Some(root.into()), page_size, page_token, digest_function: 0 }
}

async fn pages(served: &Served, request: reapi::GetTreeRequest) -> Result<Vec<reapi::GetTreeResponse>, tonic::Status> {
    let mut stream = served.cas().get_tree(request).await?.into_inner();
    let mut pages = Vec::new();
    while let Some(page) = stream.message().await? {
        pages.push(page);
    }
    Ok(pages)
}

#[tokio::test]
async fn a_tree_comes_in_pages_from_the_root_down() {
    let served = Served::start();
    let paths = [("a/b/c", "1"), ("a/d", "2"), ("e/f/g", "3"), ("h", "4")];
    let action = served.fixture.action(reapi::Command::default(), &paths).await;
    let action = reapi::Action::decode(served.fixture.store.get(&action).await.unwrap().unwrap()).unwrap();
    let root = crate::execute::fixture::parsed(&action.input_root_digest.unwrap());
    let expected = reapi::Tree::decode(&*collect_tree(&served.fixture.store, root).await.unwrap()).unwrap();
    let expected: Vec<reapi::Directory> = expected.root.into_iter().chain(expected.children).collect();
    for size in [0, 1, 2, 1000] {
        let all = pages(&served, tree(root, size, "")).await.unwrap();
        let directories: Vec<_> = all.iter().flat_map(|page| page.directories.clone()).collect();
        assert_eq!(directories, expected, "{size}");
        assert_eq!(all.last().unwrap().next_page_token, "");
    }
    let token = pages(&served, tree(root, 2, "")).await.unwrap()[0].next_page_token.clone();
    let rest = pages(&served, tree(root, 0, &token)).await.unwrap();
    assert_eq!(rest[0].directories, expected[2..]);
}

#[tokio::test]
async fn trees_that_make_no_sense_are_refused() {
    let served = Served::start();
    let file = reapi::FileNode { name: "..".into(), digest: Some(FUNCTION.empty().into()), ..Default::default() };
    let evil = reapi::Directory { files: vec![file], ..Default::default() }.encode_to_vec();
    let evil = served.fixture.put(evil).await;
    refused(pages(&served, tree(evil, 0, "")).await, Code::InvalidArgument, "`..` cannot be the name");
    let text = served.fixture.put("\u{7f}no directory").await;
    refused(pages(&served, tree(text, 0, "")).await, Code::InvalidArgument, "cannot be used as a directory");
    refused(pages(&served, tree(FUNCTION.digest(b"absent"), 0, "")).await, Code::NotFound, "not in the CAS");
    refused(pages(&served, tree(evil, -1, "")).await, Code::InvalidArgument, "page_size");
    refused(pages(&served, tree(evil, 0, "x")).await, Code::InvalidArgument, "page_token");
    let endless = lied(&text, 1 << 40);
    refused(pages(&served, tree(endless, 0, "")).await, Code::InvalidArgument, "more than");
}

/// Stores a chain of directories, each of which has the one below it under these names. Returns the topmost.
async fn chain(served: &Served, levels: usize, names: &[&str]) -> Digest {
    let mut below = FUNCTION.empty();
    let mut blobs = Vec::new();
    for _ in 0..levels {
        let mut directory = Directory::default();
        for name in names {
            directory.insert((*name).to_owned(), Node::Directory { digest: below }).unwrap();
        }
        let bytes = directory.encode();
        below = FUNCTION.digest(&bytes);
        blobs.push((below, bytes.into()));
    }
    served.fixture.store.put_batch(blobs).await.unwrap();
    below
}

#[tokio::test]
async fn an_absurdly_deep_tree_is_no_more_work_than_a_flat_one() {
    let served = Served::start();
    let root = chain(&served, 3000, &["a"]).await;
    let all = pages(&served, tree(root, 0, "")).await.unwrap();
    assert_eq!(all.iter().map(|page| page.directories.len()).collect::<Vec<_>>(), [1000, 1000, 1000, 1]);
}

#[tokio::test]
async fn a_tree_that_unfolds_without_end_has_each_directory_once() {
    let served = Served::start();
    // 2^60 paths.
    let root = chain(&served, 60, &["a", "b"]).await;
    let all = pages(&served, tree(root, 0, "")).await.unwrap();
    assert_eq!(all.iter().map(|page| page.directories.len()).sum::<usize>(), 61);
}

#[tokio::test]
async fn what_is_not_there_is_left_out_and_the_rest_given() {
    let served = Served::start();
    let mut directory = Directory::default();
    let absent = FUNCTION.digest(b"absent");
    directory.insert("absent".into(), Node::Directory { digest: absent }).unwrap();
    directory.insert("there".into(), Node::Directory { digest: FUNCTION.empty() }).unwrap();
    let root = served.fixture.put(directory.encode()).await;
    let all = pages(&served, tree(root, 0, "")).await.unwrap();
    assert_eq!((all.len(), all[0].directories.len()), (1, 2));
}

#[tokio::test]
async fn page_tokens_lead_nowhere_but_into_the_tree() {
    let served = Served::start();
    let root = chain(&served, 9, &["a"]).await;
    let whole = pages(&served, tree(root, 0, "")).await.unwrap().remove(0).directories;
    for token in 1..=10 {
        let rest = pages(&served, tree(root, 3, &token.to_string())).await.unwrap();
        let rest: Vec<_> = rest.into_iter().flat_map(|page| page.directories).collect();
        assert_eq!(rest, whole[token..], "{token}");
    }
    assert!(pages(&served, tree(root, 0, "999999")).await.unwrap()[0].directories.is_empty());
    for token in ["0", "-1", "1e3", "99999999999999999999", "5000000", "1/1", "é"] {
        refused(pages(&served, tree(root, 0, token)).await, Code::InvalidArgument, "page_token");
    }
}
