//! Who is told of what, whether it arrives, and a test of it. Addresses are secrets and stay here.

use sweep_core::shares::DEFAULT_USER;
use sweep_core::time::Timestamp;
use sweep_proto::status::status;
use sweep_proto::v1;
use tonic::{Code, Status};

use super::Edge;
use crate::access::identity::Identity;
use crate::notify::board::{Listed, Shown, Tested};

/// Every receiver, with what waits for it.
pub(super) async fn list(edge: &Edge) -> Result<v1::ListWebhooksReply, Status> {
    let listed = edge.board.list().await.map_err(|error| {
        tracing::error!(%error, "the outbox of webhooks cannot be read");
        status(Code::Internal, "journal_unreadable", "the outbox of webhooks cannot be read; the log says why")
    })?;
    Ok(v1::ListWebhooksReply { webhooks: listed.into_iter().map(state).collect() })
}

/// Tells all of them something that means nothing.
pub(super) async fn test(
    edge: &Edge,
    identity: &Identity,
    request: v1::TestWebhooksRequest,
) -> Result<v1::TestWebhooksReply, Status> {
    let user = match identity.name(request.user) {
        user if user.is_empty() => DEFAULT_USER.to_owned(),
        user => user,
    };
    identity.about("webhooks");
    let tests = edge.board.test(&user, edge.guard.now()).await;
    Ok(v1::TestWebhooksReply { tests: tests.into_iter().map(tested).collect() })
}

fn state(listed: Listed) -> v1::WebhookState {
    let Listed { hook, waiting: (waiting, oldest), standing } = listed;
    let (failed, error) = standing.failed.unzip();
    let micros = |at: Timestamp| at.0;
    v1::WebhookState {
        webhook: Some(webhook(hook)),
        waiting,
        oldest: oldest.map(micros),
        taken: standing.taken.map(micros),
        failed: failed.map(micros),
        error: error.unwrap_or_default(),
        failures: standing.failures,
    }
}

fn tested(tested: Tested) -> v1::WebhookTest {
    let Tested { hook, took, result } = tested;
    let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    v1::WebhookTest { webhook: Some(webhook(hook)), error: result.err().unwrap_or_default(), ms }
}

fn webhook(hook: Shown) -> v1::Webhook {
    let Shown { number, label, place, on } = hook;
    v1::Webhook { number, label, place, on: on.into_iter().map(str::to_owned).collect() }
}
