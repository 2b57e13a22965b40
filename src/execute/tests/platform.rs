//! Properties that change how an action is run.

use super::super::fixture::{FUNCTION, Fixture, properties, shell};
use super::super::{ExecuteError, ExecutionOptions};
use crate::proto::reapi;
use crate::spec::RelativePath;
use crate::store::{BlobStore, MerkleTree, Node};

#[tokio::test]
async fn the_network_is_refused_unless_the_operator_allows_it() {
    let script = "tail -n +3 /proc/net/dev; ls /etc";
    let fixture = Fixture::new();
    let action = fixture.action_with(shell(script, &[]), &[], properties(&[("network", "on")])).await;
    let error = fixture.execute(action).await.expect_err("it is not allowed");
    assert!(matches!(error, ExecuteError::Denied { property: "network", .. }), "{error:?}");

    let fixture = Fixture::with(ExecutionOptions { allow_network: true, ..ExecutionOptions::default() });
    let action = fixture.action_with(shell(script, &[]), &[], properties(&[("network", "on")])).await;
    let result = fixture.execute(action).await.unwrap().result;
    let stdout = fixture.stdout(&result).await;
    let host = std::fs::read_to_string("/proc/net/dev").unwrap().lines().count() - 2;
    assert_eq!(stdout.lines().filter(|line| line.contains(':')).count(), host, "{stdout}");
    assert_eq!(stdout.contains("resolv.conf"), std::path::Path::new("/etc/resolv.conf").exists());
    let result = fixture.run(shell(script, &[]), &[]).await;
    assert!(!fixture.stdout(&result).await.contains("resolv.conf"), "who does not ask does not get it");
}

#[tokio::test]
async fn the_input_root_stands_where_a_property_says() {
    let fixture = Fixture::new();
    let mut command = shell("pwd; cat input; echo x > out", &["out"]);
    command.working_directory = "d".into();
    let stands = properties(&[("InputRootAbsolutePath", "/workspace/main"), ("unknown", "accepted")]);
    let action = fixture.action_with(command, &[("d/input", "here\n")], stands).await;
    let result = fixture.execute(action).await.unwrap().result;
    assert_eq!(fixture.stdout(&result).await, "/workspace/main/d\nhere\n");
    assert_eq!(result.output_files.len(), 1);
}

#[tokio::test]
async fn an_input_root_can_be_the_whole_root_file_system() {
    let fixture = Fixture::new();
    let mut tree = MerkleTree::default();
    let mut add = async |path: &str, source: &str| {
        let digest = fixture.put(std::fs::read(source).unwrap()).await;
        tree.insert(&RelativePath::parse(path).unwrap(), Node::File { digest, executable: true }).unwrap();
    };
    add("bin/sh", "/bin/sh").await;
    let libraries = std::process::Command::new("ldd").arg("/bin/sh").output().unwrap().stdout;
    for library in String::from_utf8(libraries).unwrap().split_whitespace().filter(|word| word.starts_with('/')) {
        add(&library[1..], library).await;
    }
    let (root, blobs) = tree.encode(FUNCTION);
    fixture.store.put_batch(blobs).await.unwrap();
    let script = "echo /*; echo x > /made/out; echo y > /tmp/y; test -c /dev/null; test -d /proc/self; test ! -e /usr";
    let command = reapi::Command {
        arguments: ["/bin/sh", "-euc", script].map(String::from).to_vec(),
        output_paths: vec!["made/out".into()],
        ..Default::default()
    };
    let whole = properties(&[("InputRootAbsolutePath", "/")]);
    let action = fixture
        .action_with(command, &[], |action| {
            action.input_root_digest = Some(root.into());
            whole(action);
        })
        .await;
    let result = fixture.execute(action).await.unwrap().result;
    let stdout = fixture.stdout(&result).await;
    assert_eq!((result.exit_code, stdout.as_str()), (0, "/bin /dev /lib /lib64 /made /proc /tmp\n"));
    assert_eq!(result.output_files[0].path, "made/out");
}

#[tokio::test]
async fn links_among_the_inputs_lead_no_mount_out_of_the_root() {
    let fixture = Fixture::new();
    let link = reapi::SymlinkNode { name: "tmp".into(), target: "/oldroot/tmp".into(), ..Default::default() };
    let root = reapi::Directory { symlinks: vec![link], ..Default::default() };
    let root = fixture.put(prost::Message::encode_to_vec(&root)).await;
    let whole = properties(&[("InputRootAbsolutePath", "/")]);
    let action = fixture
        .action_with(shell("true", &[]), &[], |action| {
            action.input_root_digest = Some(root.into());
            whole(action);
        })
        .await;
    let error = fixture.execute(action).await.expect_err("it leads out");
    assert!(matches!(error, ExecuteError::Invalid { field: "platform", .. }), "{error:?}");
}
