//! Checkpoints on their way to a host of the simulation.

use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use sweep_core::attempt::FailureClass;
use sweep_core::event::{Checkpoint, Failure};
use sweep_identity::wire::Wire;
use sweep_proto::v1;
use sweep_proto::v1::blobs_client::BlobsClient;
use tokio::time::sleep;

/// Pause before a checkpoint is fetched again.
const AGAIN: Duration = Duration::from_secs(2);

/// Fetches a checkpoint until it has it. `missing` says what the attempt lacks without it.
pub(super) async fn download(wire: Wire, checkpoint: &Checkpoint, missing: &str) -> Result<Bytes, Failure> {
    loop {
        let request = v1::DownloadRequest { sha256: checkpoint.sha256.clone() };
        let mut client = BlobsClient::new(wire.clone());
        match client.download(request).await {
            Ok(chunks) => {
                let mut chunks = chunks.into_inner();
                let mut bytes = Vec::new();
                while let Ok(Some(chunk)) = chunks.message().await {
                    bytes.extend_from_slice(&chunk.data);
                }
                if format!("{:x}", Sha256::digest(&bytes)) == checkpoint.sha256 {
                    return Ok(bytes.into());
                }
            }
            Err(status) if status.code() == tonic::Code::NotFound => {
                let message = format!("the coordinator has no blob {}", checkpoint.sha256);
                return Err(Failure { class: FailureClass::Host, reason: missing.into(), message });
            }
            Err(_) => {}
        }
        sleep(AGAIN).await;
    }
}
