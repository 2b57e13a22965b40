//! Requests about source trees that no client of just sends, or that ask for what nobody has.

use envserve::digest::DigestFunction;
use envserve::proto::just;
use envserve::proto::just::source_tree_client::SourceTreeClient;
use envserve::proto::just::target_client::TargetClient;
use envserve::transport::Channel;
use tonic::Code;

use super::wire::{Wire, project};
use crate::support::git;

type Client = SourceTreeClient<Channel>;
type File = just::serve_distdir_tree_request::Distfile;

fn unknown() -> String {
    "12".repeat(20)
}

fn file(name: &str, content: &str) -> File {
    File { name: name.to_owned(), content: content.to_owned(), executable: false }
}

async fn distdir(client: &mut Client, distfiles: Vec<File>) -> Result<just::ServeDistdirTreeResponse, Code> {
    let answer = client.serve_distdir_tree(just::ServeDistdirTreeRequest { distfiles, sync_tree: true }).await;
    answer.map(tonic::Response::into_inner).map_err(|status| status.code())
}

#[tokio::test]
async fn what_makes_no_sense_is_an_invalid_argument() {
    let (project, _) = project();
    let daemon = project.daemon(&[]);
    let mut client = Client::new(daemon.link().channel());
    let (id, upper) = (unknown(), "AB".repeat(20));
    for (commit, subdir) in [("", "."), ("main", "."), (&*upper, "."), (&id, ".."), (&id, "/"), (&id, "a//b")] {
        let request = just::ServeCommitTreeRequest { commit: commit.into(), subdir: subdir.into(), sync_tree: true };
        let refused = client.serve_commit_tree(request).await.expect_err(commit);
        assert_eq!(refused.code(), Code::InvalidArgument, "{commit} {subdir}: {refused:?}");
    }
    for (archive_type, resolve_symlinks, subdir) in [(2, 0, "."), (0, 4, "."), (0, 0, "a/../b"), (-1, 0, ".")] {
        let (content, subdir) = (id.clone(), subdir.to_owned());
        let request =
            just::ServeArchiveTreeRequest { content, archive_type, subdir, resolve_symlinks, sync_tree: false };
        let refused = client.serve_archive_tree(request).await.expect_err("no such request");
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    }
    let known = git(&project.world.path("known"), &["rev-parse", "HEAD:envs/ENVS"]);
    for distfiles in [
        (0..10_001).map(|number| file(&number.to_string(), &known)).collect(),
        vec![file("../x", &known)],
        vec![file("", &known)],
        vec![file(".git", &known)],
        vec![file("x", "x")],
        vec![file("x", &known), file("x", &known)],
    ] {
        assert_eq!(distdir(&mut client, distfiles).await.expect_err("no distdir"), Code::InvalidArgument);
    }
    assert_eq!(distdir(&mut client, vec![file("x", &known)]).await.expect("a tree").tree.len(), 40);
    let content = just::ServeContentRequest { content: "x".to_owned() };
    assert_eq!(client.serve_content(content).await.expect_err("no id").code(), Code::InvalidArgument);
    let tree = just::CheckRootTreeRequest { tree: "../../objects".to_owned() };
    assert_eq!(client.check_root_tree(tree).await.expect_err("no id").code(), Code::InvalidArgument);
}

#[tokio::test]
async fn what_nobody_has_is_not_found_inside_of_the_answer() {
    let (project, tree) = project();
    let daemon = project.daemon(&[]);
    let mut client = Client::new(daemon.link().channel());
    let blob = git(&project.world.path("known"), &["rev-parse", "HEAD:envs/ENVS"]);
    let answer = distdir(&mut client, vec![file("x", &unknown())]).await.expect("an answer");
    assert_eq!(answer.status(), just::serve_distdir_tree_response::Status::NotFound);
    let commit = just::ServeCommitTreeRequest { commit: unknown(), ..Default::default() };
    let answer = client.serve_commit_tree(commit).await.expect("an answer").into_inner();
    assert_eq!(answer.status(), just::serve_commit_tree_response::Status::NotFound);
    let archive = just::ServeArchiveTreeRequest { content: unknown(), ..Default::default() };
    let answer = client.serve_archive_tree(archive).await.expect("an answer").into_inner();
    assert_eq!(answer.status(), just::serve_archive_tree_response::Status::NotFound);
    let answer = client.serve_content(just::ServeContentRequest { content: unknown() }).await.expect("an answer");
    assert_eq!(answer.into_inner().status(), just::serve_content_response::Status::NotFound);
    for other in [unknown(), blob.clone()] {
        let answer = client.serve_tree(just::ServeTreeRequest { tree: other.clone() }).await.expect("an answer");
        assert_eq!(answer.into_inner().status(), just::serve_tree_response::Status::NotFound);
        let root = just::CheckRootTreeRequest { tree: other.clone() };
        let answer = client.check_root_tree(root).await.expect("an answer").into_inner();
        assert_eq!(answer.status(), just::check_root_tree_response::Status::NotFound);
        let request = just::ComputeTreeStructureRequest { tree: other };
        let answer = client.compute_tree_structure(request).await.expect("an answer").into_inner();
        assert_eq!(answer.status(), just::compute_tree_structure_response::Status::NotFound);
    }
    let structure = client.compute_tree_structure(just::ComputeTreeStructureRequest { tree: tree.clone() }).await;
    let structure = structure.expect("known").into_inner().tree_structure_hash;
    assert!(structure.len() == 40 && structure != tree, "{structure}");
    let known = client.check_root_tree(just::CheckRootTreeRequest { tree }).await.expect("an answer").into_inner();
    assert_eq!(known.status(), just::check_root_tree_response::Status::Ok);
}

#[tokio::test]
async fn an_archive_that_is_none_is_an_error_of_unpacking() {
    let (project, _) = project();
    let daemon = project.daemon(&[]);
    let mut client = Client::new(daemon.link().channel());
    let content = git(&project.world.path("known"), &["rev-parse", "HEAD:envs/ENVS"]);
    let archive = just::ServeArchiveTreeRequest { content, archive_type: 1, ..Default::default() };
    let answer = client.serve_archive_tree(archive).await.expect("an answer").into_inner();
    assert_eq!(answer.status(), just::serve_archive_tree_response::Status::UnpackError);
}

#[tokio::test]
async fn only_a_directory_that_was_uploaded_is_taken_over() {
    let (project, _) = project();
    let daemon = project.daemon(&[]);
    let mut client = Client::new(daemon.link().channel());
    let absent = Some(DigestFunction::Sha256.digest(b"nobody has this").into());
    let answer = client.get_remote_tree(just::GetRemoteTreeRequest { digest: absent }).await.expect("an answer");
    assert_eq!(answer.into_inner().status(), just::get_remote_tree_response::Status::FailedPrecondition);
    let file = Wire::new(&daemon).put("no directory").await;
    for digest in [None, Some(file)] {
        let refused = client.get_remote_tree(just::GetRemoteTreeRequest { digest }).await.expect_err("no directory");
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    }
}

#[tokio::test]
async fn variables_and_descriptions_of_nothing_are_a_failed_precondition() {
    let (project, tree) = project();
    let daemon = project.daemon(&[]);
    let wire = Wire::new(&daemon);
    assert_eq!(wire.variables(&tree, "ENVS", "now").await, Code::Ok);
    for (root, file, target) in
        [(&*"12".repeat(20), "ENVS", "now"), (&tree, "NO", "now"), (&tree, "ENVS", "x"), (&tree, "source", "now")]
    {
        assert_eq!(wire.variables(root, file, target).await, Code::FailedPrecondition, "{root} {file} {target}");
    }
    for (root, file) in [("", "ENVS"), ("HEAD", "ENVS"), (&tree, "../ENVS"), (&tree, "/etc/passwd"), (&tree, "a//b")] {
        assert_eq!(wire.variables(root, file, "now").await, Code::InvalidArgument, "{root} {file}");
    }
    let mut client = TargetClient::new(wire.channel.clone());
    let request = just::ServeTargetDescriptionRequest { root_tree: tree, target_file: "NO".into(), target: "x".into() };
    assert_eq!(client.serve_target_description(request).await.expect_err("none").code(), Code::FailedPrecondition);
}
