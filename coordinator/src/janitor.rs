//! Deletes blobs that no trial refers to: all there are, less those to keep. What to keep is decided in
//! the core; there is no other bookkeeping that could be wrong. Reads those to keep once a day, so that damage is found
//! while an earlier checkpoint is still there.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use sweep_core::retain::{self, keep};
use sweep_core::state::State;
use tokio::time::{Instant, sleep};

use crate::blobs::{BlobError, Blobs, Stored};
use crate::config::Cleaning;
use crate::handle::{Handle, Refusal};

/// A blob that no trial refers to is kept so long after it was stored.
pub const GRACE: Duration = Duration::from_secs(600);

/// Only so long where such blobs take more than what is left of the disk: short epochs of a large network fill one within minutes.
pub const LEAST: Duration = Duration::from_secs(30);

/// Every blob to keep is read so often.
const SCRUB: Duration = Duration::from_secs(24 * 3600);
/// Blobs that are looked at and deleted at once.
const HANDFUL: usize = 256;
/// And no more than so many bytes of them in one round.
const SCRUB_BYTES: u64 = 512 << 20;

/// Cleans up for ever.
pub(crate) async fn run(handle: Handle, blobs: Blobs, cleaning: Cleaning) {
    let (mut unread, mut began) = (Vec::new(), None::<Instant>);
    loop {
        sleep(cleaning.every).await;
        if unread.is_empty()
            && began.is_none_or(|began| began.elapsed() > SCRUB)
            && let Ok(all) = handle.query(|view| keep(view.core.state())).await
        {
            (unread, began) = (Vec::from_iter(all), Some(Instant::now()));
            // Not always the same ones first.
            let first = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_micros();
            let first = first as usize % unread.len().max(1);
            unread.rotate_left(first);
        }
        scrub(&blobs, &mut unread, SCRUB_BYTES).await;
        match clean(&handle, &blobs, cleaning.grace, blobs.room(), SystemTime::now()).await {
            Ok(Ok(0)) => {}
            Ok(Ok(deleted)) => tracing::info!(deleted, "deleted checkpoints that no trial refers to"),
            Ok(Err(error)) => tracing::warn!(%error, "cleaning up checkpoints failed"),
            Err(Refusal::Stopping) => return,
            Err(refusal) => tracing::debug!(%refusal, "not cleaning up now"),
        }
    }
}

/// Reads the last of these blobs until there are none, or so many bytes were read. What is damaged is set aside, and returned.
pub async fn scrub(blobs: &Blobs, unread: &mut Vec<String>, most: u64) -> Vec<String> {
    let (mut read, mut damaged) = (0, Vec::new());
    while read < most
        && let Some(sha256) = unread.pop()
    {
        match blobs.check(&sha256).await {
            Ok(bytes) => read += bytes,
            Err(BlobError::Damaged(sha256)) => damaged.push(sha256),
            // It was deleted meanwhile, or is missed when somebody needs it.
            Err(BlobError::Missing(_)) => {}
            Err(error) => tracing::warn!(sha256, %error, "a checkpoint cannot be read"),
        }
    }
    damaged
}

/// One round; returns how many blobs it deleted, none that was stored in the last `grace`, or in the last [`LEAST`] where those of the
/// `grace` take more than there is `room` (bytes; `None`: as much as wanted).
///
/// # Errors
/// The outer one when the state cannot be asked, the inner one when the store fails.
pub async fn clean(
    handle: &Handle,
    blobs: &Blobs,
    grace: Duration,
    room: Option<u64>,
    now: SystemTime,
) -> Result<Result<u64, BlobError>, Refusal> {
    let Some(_right) = blobs.sweep() else { return Ok(Ok(0)) };
    // The list first: what is stored after it is not looked at.
    let stored = match blobs.list().await {
        Ok(stored) => stored,
        Err(error) => return Ok(Err(error)),
    };
    // While the end of the journal is taken for lost, what only it refers to may be needed again.
    let wanted = |state: &State| state.lineage.suspicion.is_none().then(|| keep(state));
    let Some(keep) = handle.query(move |view| wanted(view.core.state())).await? else { return Ok(Ok(0)) };
    let is_old = |blob: &Stored, grace| now.duration_since(blob.modified).is_ok_and(|age| age >= grace);
    let unused: Vec<Stored> = stored.into_iter().filter(|blob| !keep.contains(&blob.sha256)).collect();
    let young: u64 = unused.iter().filter(|blob| !is_old(blob, grace)).map(|blob| blob.bytes).sum();
    let grace = if room.is_some_and(|room| young > room) { grace.min(LEAST) } else { grace };
    let unused: Vec<String> = unused.into_iter().filter(|blob| is_old(blob, grace)).map(|blob| blob.sha256).collect();
    let mut deleted = 0;
    // Reports of checkpoints wait for a handful, not for all.
    for some in unused.chunks(HANDFUL) {
        let _settled = blobs.settled().await;
        // Somebody may have referred to it since.
        let these: BTreeSet<String> = some.iter().cloned().collect();
        let unused = |state: &State| state.lineage.suspicion.is_none().then(|| retain::unused(state, these));
        let Some(unused) = handle.query(move |view| unused(view.core.state())).await? else { break };
        for sha256 in &unused {
            if let Err(error) = blobs.delete(sha256).await {
                return Ok(Err(error));
            }
            deleted += 1;
        }
    }
    Ok(Ok(deleted))
}
