//! Generates the bindings of the native protocol and of just's; protox compiles them, so no protoc is needed. Then the
//! two REAPI services that carry blobs, over messages of our own whose payload is not copied (`reapi/messages.rs`).

use tonic_build::manual::{Builder, Method, Service, ServiceBuilder};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let protos = ["proto/envserve/v1/envserve.proto", "proto/justbuild/just_serve.proto"];
    let descriptors = protox::compile(protos, ["proto"])?;
    let digest = format!("{THEIRS}::Digest");
    tonic_prost_build::configure().extern_path(".justbuild.just_serve.Digest", digest).compile_fds(descriptors)?;
    Builder::new().build_client(false).compile(&[cas(), byte_stream()]);
    Ok(())
}

/// Messages of the REAPI as its crate has them.
const THEIRS: &str = "crate::proto::reapi";
/// Messages of ByteStream as its crate has them.
const BYTE_STREAM: &str = "crate::proto::bytestream";
/// Messages of our own.
const OURS: &str = "crate::serve::grpc::reapi::messages";

/// Which side of a call is a stream.
#[derive(Clone, Copy)]
enum Streams {
    None,
    Requests,
    Answers,
}

fn cas() -> Service {
    let service = Service::builder().name("ContentAddressableStorage").package("build.bazel.remote.execution.v2");
    let service = call(service, "find_missing_blobs", "FindMissingBlobs", [THEIRS, THEIRS], Streams::None);
    let service = call(service, "batch_update_blobs", "BatchUpdateBlobs", [OURS, THEIRS], Streams::None);
    let service = call(service, "batch_read_blobs", "BatchReadBlobs", [THEIRS, OURS], Streams::None);
    let service = call(service, "get_tree", "GetTree", [THEIRS, OURS], Streams::Answers);
    let service = call(service, "split_blob", "SplitBlob", [THEIRS, THEIRS], Streams::None);
    let service = call(service, "splice_blob", "SpliceBlob", [THEIRS, THEIRS], Streams::None);
    service.build()
}

fn byte_stream() -> Service {
    let service = Service::builder().name("ByteStream").package("google.bytestream");
    let service = call(service, "read", "Read", [BYTE_STREAM, OURS], Streams::Answers);
    let service = call(service, "write", "Write", [OURS, BYTE_STREAM], Streams::Requests);
    let service = call(service, "query_write_status", "QueryWriteStatus", [BYTE_STREAM, BYTE_STREAM], Streams::None);
    service.build()
}

/// Adds a call; the modules are those of its request and its response.
fn call(service: ServiceBuilder, name: &str, route: &str, modules: [&str; 2], streams: Streams) -> ServiceBuilder {
    let [request, response] = modules;
    let method = Method::builder()
        .name(name)
        .route_name(route)
        .input_type(format!("{request}::{route}Request"))
        .output_type(format!("{response}::{route}Response"))
        .codec_path("tonic_prost::ProstCodec");
    let method = match streams {
        Streams::None => method,
        Streams::Requests => method.client_streaming(),
        Streams::Answers => method.server_streaming(),
    };
    service.method(method.build())
}
