//! Checkpoints that are not what they should be.

use super::*;
use crate::checkpoint::MemoryError;
use crate::oci::{Attributes, Exception, Metadata};
use crate::spec::Form;

fn cause(error: &ClientError) -> &CheckpointError {
    match error {
        ClientError::Checkpoint { source, .. } => source,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_spoilt_piece_is_not_used_and_removed() {
    let checkpoint = Checkpoint::new(&[("a.zst", stated(b"text"))]).await;
    let blob = checkpoint.world.store().await.path(&FUNCTION.digest(&stated(b"text")), false);
    let length = usize::try_from(fs::metadata(&blob).expect("there").len()).expect("small");
    fs::write(&blob, vec![0; length]).expect("root");
    // It would be fetched now, and nobody can be reached.
    let error = checkpoint.bring(Start::Fastest).await.expect_err("it is not here");
    assert!(error.is_unavailable(), "{error:?}");
    assert!(!blob.exists());
    assert!(checkpoint.present(Start::Fastest).await.is_none());
}

#[tokio::test]
async fn a_tree_without_what_the_descriptor_names_is_refused() {
    let checkpoint = Checkpoint::new(&[]).await;
    let checkpoint =
        checkpoint.with(|_, facts| facts.made.filesystem = Form::Published { ready_ms: 1, layers: 3 }).await;
    let error = checkpoint.bring(Start::Fastest).await.expect_err("two layers");
    assert!(matches!(cause(&error), CheckpointError::Layers { needed: 3, found: 2 }), "{error:?}");
    let checkpoint = checkpoint.with(|stored, _| stored.memory = None).await;
    let error = checkpoint.bring(Start::In(FormName::Memory)).await.expect_err("no memory");
    assert!(matches!(cause(&error), CheckpointError::NoMemory), "{error:?}");
    let image = checkpoint.stored.layers[0].root;
    let checkpoint = checkpoint.with(|stored, _| stored.image = image).await;
    let error = checkpoint.bring(Start::In(FormName::Cold)).await.expect_err("no image");
    assert!(matches!(error, ClientError::Image { .. }), "{error:?}");
}

#[tokio::test]
async fn names_and_gaps_in_the_memory_make_no_file() {
    for path in ["...zst", "pages/000001.zst", "pages"] {
        let checkpoint = Checkpoint::new(&[(path, stated(b"text"))]).await;
        let error = checkpoint.bring(Start::Fastest).await.expect_err(path);
        assert!(matches!(cause(&error), CheckpointError::Memory(MemoryError::Piece { .. })), "{error:?}");
        let home = home(checkpoint.world.client.root(), &checkpoint.descriptor.root);
        assert!(!home.join("memory").exists() && !home.join("memory.partial").exists());
    }
}

#[tokio::test]
async fn attributes_that_do_not_fit_make_no_layer() {
    let checkpoint = Checkpoint::new(&[]).await;
    let exceptions = |path: &str, exception| {
        let path = RelativePath::parse(path).expect("good");
        Attributes { exceptions: [(path, exception)].into() }.canonical()
    };
    let mut checkpoint = checkpoint;
    for attributes in [
        b"not JSON".to_vec(),
        exceptions("absent", Exception::Opaque(Metadata::default())),
        exceptions("absent/file", Exception::Whiteout),
        exceptions("data/first", Exception::Whiteout),
    ] {
        let attributes = put(&checkpoint.world.store().await, &attributes).await;
        checkpoint = checkpoint.with(|stored, _| stored.layers[0].attributes = attributes).await;
        let error = checkpoint.bring(Start::In(FormName::Filesystem)).await.expect_err("they do not fit");
        assert!(matches!(error, ClientError::Image { .. }), "{error:?}");
        assert!(checkpoint.present(Start::In(FormName::Filesystem)).await.is_none());
    }
}
