//! What tests of checkpoints share.

use crate::digest::DigestFunction;
use crate::spec::{
    CheckpointFacts, DESCRIPTOR_VERSION, Descriptor, FINGERPRINT_VERSION, Fingerprint, Form, ImageFacts, KindName,
    Made, Provenance, Provides, Ready, Service, Stop,
};

/// Returns the facts of a checkpoint that has both forms.
pub(crate) fn facts() -> CheckpointFacts {
    let nothing = DigestFunction::Sha256.empty();
    CheckpointFacts {
        image: ImageFacts { manifest: nothing, config: nothing, layers: Vec::new() },
        service: Service {
            cmd: None,
            ready: Ready::Tcp(80),
            warmup: Vec::new(),
            restored: None,
            stop: Stop::default(),
            timeout: None,
        },
        made: Made {
            host: host(),
            cold_ms: 2000,
            warmup_ms: 100,
            memory: Form::Published { ready_ms: 95, layers: 1 },
            filesystem: Form::Published { ready_ms: 400, layers: 2 },
        },
        sensitive: true,
    }
}

/// Returns a descriptor with these facts.
pub(crate) fn descriptor() -> Descriptor {
    let digest = DigestFunction::Blake3.empty();
    let provenance = Provenance { builder: "envserve".into(), actions: Vec::new(), built_at: 0, duration_ms: 0 };
    Descriptor {
        version: DESCRIPTOR_VERSION,
        kind: KindName::Checkpoint,
        root: digest,
        tree: digest,
        provides: Provides::default(),
        nix: None,
        image: None,
        checkpoint: Some(facts()),
        provenance,
    }
}

fn host() -> Fingerprint {
    let text = str::to_owned;
    Fingerprint {
        version: FINGERPRINT_VERSION,
        cpu_vendor: text("GenuineIntel"),
        cpu_family: text("6"),
        cpu_model: text("143"),
        cpu_flags: text("aes avx2 fpu"),
        cpu_capabilities: text("0:00000001"),
        xsave_features: text("0xe5"),
        xsave_size: text("2432 of 2696"),
        kernel_release: text("6.1.0"),
        criu_version: text("4.2.1"),
        runc_version: text("1.1.5"),
        user_map: text("0 1879048192 65536"),
    }
}

/// Returns bytes of which not all are alike.
pub(crate) fn bytes(length: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(7);
    std::iter::repeat_with(|| random.u8(..4)).take(length).collect()
}

/// Returns bytes packed in a frame that states how long they are.
pub(crate) fn stated(bytes: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(bytes, 3).expect("memory")
}

/// The same, in a frame that does not state it.
pub(crate) fn unstated(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 3).expect("memory")
}
