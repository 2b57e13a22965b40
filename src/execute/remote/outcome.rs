//! What the endpoint's answer means.

use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::super::{ExecuteError, Executed, HOST_VIOLATION};
use crate::digest::{Digest, DigestFunction};
use crate::proto::reapi;
use crate::store::wire;

/// What became of an action.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It ran, or had run.
    Executed(Box<Executed>),
    /// It did not end in time.
    TimedOut(Box<reapi::ActionResult>),
    /// It needs what is not in the CAS.
    MissingBlobs(Vec<Digest>),
    /// The host of its executor lacks something.
    Lacks(String),
    /// The endpoint does not run such an action.
    Refused(Box<Status>),
    /// The endpoint failed; it may not do so again.
    Failed(Box<Status>),
}

/// Reads an answer.
///
/// # Errors
/// When it says neither what became of the action nor why it did not run.
pub(super) fn outcome(response: reapi::ExecuteResponse, function: DigestFunction) -> Result<Outcome, ExecuteError> {
    let status = wire::status(response.status.unwrap_or_default());
    Ok(match status.code() {
        Code::Ok => match response.result {
            Some(result) => Outcome::Executed(Box::new(Executed { result, cached: response.cached_result })),
            None => Outcome::Failed(Box::new(Status::internal("the action ended without a result"))),
        },
        Code::DeadlineExceeded => Outcome::TimedOut(Box::new(response.result.unwrap_or_default())),
        Code::FailedPrecondition if lacks(&status) => Outcome::Lacks(status.message().to_owned()),
        Code::FailedPrecondition => match missing(&status, function) {
            digests if digests.is_empty() => Outcome::Refused(Box::new(status)),
            digests => Outcome::MissingBlobs(digests),
        },
        Code::InvalidArgument
        | Code::NotFound
        | Code::OutOfRange
        | Code::AlreadyExists
        | Code::Unimplemented
        | Code::PermissionDenied
        | Code::Unauthenticated => Outcome::Refused(Box::new(status)),
        Code::Cancelled
        | Code::Unknown
        | Code::ResourceExhausted
        | Code::Aborted
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => Outcome::Failed(Box::new(status)),
    })
}

/// Says whether a status is about what a host cannot do.
fn lacks(status: &Status) -> bool {
    let violations = status.get_details_precondition_failure().map(|failure| failure.violations).unwrap_or_default();
    violations.iter().any(|violation| violation.r#type == HOST_VIOLATION)
}

/// Returns the blobs that a status names as missing: `blobs/HASH/SIZE`, with the function between them or not.
fn missing(status: &Status, function: DigestFunction) -> Vec<Digest> {
    let violations = status.get_details_precondition_failure().map(|failure| failure.violations).unwrap_or_default();
    let missing = violations.iter().filter(|violation| violation.r#type == "MISSING");
    missing.filter_map(|violation| parse(&violation.subject, function)).collect()
}

fn parse(subject: &str, function: DigestFunction) -> Option<Digest> {
    let mut parts = subject.rsplit('/');
    let (size, hash) = (parts.next()?, parts.next()?);
    Digest::parse(function, hash, size.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use tonic_types::{ErrorDetails, PreconditionViolation};

    use super::*;

    fn response(status: &Status, result: Option<reapi::ActionResult>) -> reapi::ExecuteResponse {
        reapi::ExecuteResponse { status: Some(wire::status_message(status)), result, ..Default::default() }
    }

    #[test]
    fn missing_blobs_are_read_from_the_details() {
        for function in DigestFunction::ALL {
            let digests = [function.digest(b"a"), function.digest(b"b")];
            let middle = if function == DigestFunction::Blake3 { "blake3/" } else { "" };
            let subject =
                |digest: &Digest| PreconditionViolation::new("MISSING", format!("blobs/{middle}{digest}"), "");
            let details = ErrorDetails::with_precondition_failure(digests.iter().map(subject).collect::<Vec<_>>());
            let status = Status::with_error_details(Code::FailedPrecondition, "gone", details);
            let Ok(Outcome::MissingBlobs(found)) = outcome(response(&status, None), function) else { panic!() };
            assert_eq!(found, digests);
        }
    }

    #[test]
    fn what_cannot_change_is_refused_and_what_may_pass_is_not() {
        let of = |status: Status| outcome(response(&status, None), DigestFunction::Sha256).unwrap();
        assert!(matches!(of(Status::failed_precondition("no such property")), Outcome::Refused(_)));
        assert!(matches!(of(Status::invalid_argument("no")), Outcome::Refused(_)));
        assert!(matches!(of(Status::unavailable("worker lost")), Outcome::Failed(_)));
        assert!(matches!(of(Status::deadline_exceeded("")), Outcome::TimedOut(_)));
    }

    #[test]
    fn success_without_a_result_is_none() {
        assert!(matches!(
            outcome(reapi::ExecuteResponse::default(), DigestFunction::Sha256),
            Ok(Outcome::Failed(status)) if status.code() == Code::Internal
        ));
    }
}
