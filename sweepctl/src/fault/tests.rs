//! Faults in words and exit codes.

use super::*;

#[test]
fn a_refusal_keeps_its_exit_code() {
    let of = |status: tonic::Status| {
        Fault::Status { server: String::new(), reason: None, status: Box::new(status) }.exit().code()
    };
    assert_eq!(of(tonic::Status::not_found("x")), 3);
    assert_eq!(of(tonic::Status::invalid_argument("x")), 2);
    assert_eq!(of(tonic::Status::failed_precondition("x")), 7);
    assert_eq!(of(tonic::Status::unauthenticated("x")), 4);
    assert_eq!(of(tonic::Status::unavailable("x")), 5);
    assert_eq!(of(tonic::Status::internal("x")), 1);
}

#[test]
fn a_web_server_is_not_taken_for_a_coordinator() {
    let status = tonic::Status::unknown("grpc-status header missing, mapped from HTTP status code 404");
    assert_eq!(said("http://x", &status), "what answers at http://x is not a coordinator");
}

#[test]
fn numbers_agree_with_their_nouns() {
    assert_eq!(count(1u32, "trial"), "1 trial");
    assert_eq!(count(0u32, "trial"), "0 trials");
    assert_eq!(incomplete(2, 0, 1), "2 trials failed, 1 trial not over");
}
