//! Deletes blobs that no trial refers to: all there are, less those to keep. What to keep is decided in
//! the core; there is no other bookkeeping that could be wrong.

use std::time::{Duration, SystemTime};

use sweep_core::retain::keep;
use sweep_core::state::State;
use tokio::time::sleep;

use crate::blobs::{BlobError, Blobs};
use crate::handle::{Handle, Refusal};

/// Between two rounds.
const ROUND: Duration = Duration::from_secs(300);
/// A blob that no trial refers to is kept so long after it was stored: its trial may be about to say so.
pub const GRACE: Duration = Duration::from_secs(600);

/// Cleans up for ever.
pub(crate) async fn run(handle: Handle, blobs: Blobs) {
    loop {
        sleep(ROUND).await;
        match clean(&handle, &blobs, SystemTime::now()).await {
            Ok(Ok(0)) => {}
            Ok(Ok(deleted)) => tracing::info!(deleted, "deleted checkpoints that no trial refers to"),
            Ok(Err(error)) => tracing::warn!(%error, "cleaning up checkpoints failed"),
            Err(Refusal::Stopping) => return,
            Err(refusal) => tracing::debug!(%refusal, "not cleaning up now"),
        }
    }
}

/// One round; returns how many blobs it deleted.
///
/// # Errors
/// The outer one when the state cannot be asked, the inner one when the store fails.
pub async fn clean(handle: &Handle, blobs: &Blobs, now: SystemTime) -> Result<Result<u64, BlobError>, Refusal> {
    let Some(_right) = blobs.sweep() else { return Ok(Ok(0)) };
    // The list first: what is stored after it is not looked at.
    let stored = match blobs.list().await {
        Ok(stored) => stored,
        Err(error) => return Ok(Err(error)),
    };
    // While the end of the journal is taken for lost, what only it refers to may be needed again.
    let wanted = |state: &State| state.lineage.suspicion.is_none().then(|| keep(state));
    let Some(keep) = handle.query(move |view| wanted(view.core.state())).await? else { return Ok(Ok(0)) };
    let mut deleted = 0;
    for blob in stored {
        let old = now.duration_since(blob.modified).is_ok_and(|age| age > GRACE);
        if old && !keep.contains(&blob.sha256) {
            if let Err(error) = blobs.delete(&blob.sha256).await {
                return Ok(Err(error));
            }
            deleted += 1;
        }
    }
    Ok(Ok(deleted))
}
