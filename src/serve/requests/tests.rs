use std::convert::Infallible;
use std::io::Write;
use std::sync::{Arc, Mutex};

use tonic::Status;
use tonic::codegen::http::HeaderValue;
use tonic::metadata::MetadataValue;
use tower::ServiceExt;

use super::*;
use crate::proto::reapi::ToolDetails;

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Sends a request with this header through the layer, to a service that logs a line and answers with a status.
async fn logged(header: Option<HeaderValue>) -> String {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::DEBUG)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let service = tower::service_fn(|_: Request<()>| async {
        tracing::info!("on the way");
        Ok::<_, Infallible>(Status::not_found("x").into_http::<tonic::body::Body>())
    });
    let mut request = Request::builder().uri("/some.package.Service/Method").body(()).unwrap();
    if let Some(header) = header {
        request.headers_mut().insert(METADATA, header);
    }
    drop(RequestLog.layer(service).oneshot(request).await);
    let bytes = log.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

fn encoded(bytes: &[u8]) -> HeaderValue {
    let value = MetadataValue::from_bytes(bytes);
    HeaderValue::from_bytes(value.as_encoded_bytes()).unwrap()
}

#[tokio::test]
async fn every_line_of_a_request_says_for_whom_and_the_last_how_it_ended() {
    let metadata = RequestMetadata {
        tool_details: Some(ToolDetails { tool_name: "bazel".into(), tool_version: "4.2.3".into() }),
        tool_invocation_id: "build 7".into(),
        action_id: "act\nERROR forged".into(),
        target_id: "//a:b".into(),
        ..Default::default()
    };
    let log = logged(Some(encoded(&metadata.encode_to_vec()))).await;
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines.len(), 2, "{log}");
    for line in &lines {
        for part in ["Service/Method", "bazel 4.2.3", "build 7", "//a:b", "act\\nERROR forged"] {
            assert!(line.contains(part), "`{part}` is not in `{line}`");
        }
    }
    assert!(lines[1].contains("NotFound") && lines[1].contains("ms="), "{log}");
}

#[tokio::test]
async fn metadata_that_makes_no_sense_is_ignored_and_long_metadata_cut() {
    let long = RequestMetadata { action_id: "é".repeat(2000), ..Default::default() }.encode_to_vec();
    let huge = RequestMetadata { action_id: "x".repeat(100_000), ..Default::default() }.encode_to_vec();
    let plain = logged(None).await.len();
    assert!(logged(Some(encoded(b"\xff\xff\xff\xff"))).await.len() <= plain + 10);
    assert!(logged(Some(HeaderValue::from_static("?!"))).await.len() <= plain + 10);
    assert!(logged(Some(encoded(&huge))).await.len() <= plain + 10);
    let cut = logged(Some(encoded(&long))).await;
    assert!(cut.contains("ééé") && cut.len() < plain + 2 * 300, "{cut}");
}

#[tokio::test]
async fn a_request_that_is_no_grpc_call_is_logged_with_its_path_and_status() {
    for (path, named) in [
        ("/nix/nar/x-y.nar", "rpc=\"/nix/nar/x-y.nar\""),
        ("/a.narinfo", "rpc=\"/a.narinfo\""),
        ("/some.package.Service/Method", "rpc=\"Service/Method\""),
    ] {
        assert_eq!(format!("rpc={:?}", rpc(path)), named);
    }
    let line = |outcome: Outcome| outcome.to_string();
    assert_eq!([line(Outcome::Http(StatusCode::NOT_FOUND)), line(Outcome::BrokenOff)], ["404", "broken off"]);
    assert_eq!(line(Outcome::Grpc(Code::NotFound)), "NotFound");
}
