//! Checkpoints to and from the blob store of the coordinator.

use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use sha2::{Digest, Sha256};
use sweep_core::attempt::CheckpointLine;
use sweep_identity::dial::Link;
use sweep_proto::status::reason_of;
use sweep_proto::v1::blobs_client::BlobsClient;
use sweep_proto::v1::{DownloadRequest, UploadChunk};
use tokio::fs;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use crate::launcher::Source;
use crate::outbox::Uploaded;

/// Bytes in one message.
const CHUNK: usize = 512 << 10;
/// Pause before a download is tried again.
const AGAIN: Duration = Duration::from_secs(2);
/// A blob that arrives damaged so often is taken for lost.
const DAMAGED: u32 = 3;

/// Talks to the blob store.
#[derive(Clone, Debug)]
pub struct BlobClient(Link);

/// Why a checkpoint is not here.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The store does not have it.
    #[error("the coordinator does not have the blob")]
    Missing,
    /// It cannot be written here.
    #[error("cannot write the blob")]
    Write(#[source] io::Error),
}

/// Why one try of a download ended.
enum Broken {
    ForGood(DownloadError),
    ForNow(Status),
    Damaged,
}

impl BlobClient {
    /// Over this connection.
    pub fn new(channel: Link) -> Self {
        Self(channel)
    }

    /// Stores a checkpoint. The store compares the digest with what arrives.
    pub async fn upload(&self, line: &CheckpointLine, source: Option<Source>) -> Uploaded {
        let Some(source) = source else {
            return Uploaded::Lost;
        };
        let opened = match source {
            Source::Bytes(bytes) => Opened::Bytes(bytes),
            Source::File(path) => match fs::File::open(&path).await {
                Ok(file) => Opened::File(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Uploaded::Lost,
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "cannot read a checkpoint");
                    return Uploaded::Later;
                }
            },
        };
        let (send, chunks) = mpsc::channel(2);
        let head = UploadChunk { sha256: line.sha256.clone(), bytes: line.bytes, data: Bytes::new() };
        let read = opened.send(head, send);
        let mut client = BlobsClient::new(self.0.clone());
        let call = client.upload(ReceiverStream::new(chunks));
        let (read, reply) = tokio::join!(read, call);
        match (read, reply) {
            (_, Ok(_)) => Uploaded::Stored,
            (Err(error), _) => {
                tracing::warn!(file = line.file, %error, "cannot read a checkpoint");
                Uploaded::Later
            }
            (Ok(()), Err(status)) => {
                let reason = reason_of(&status);
                let lost = matches!(reason.as_deref(), Some("hash_mismatch" | "upload_length" | "blob_name_invalid"));
                tracing::warn!(file = line.file, reason, error = status.message(), "a checkpoint was not stored");
                if lost { Uploaded::Lost } else { Uploaded::Later }
            }
        }
    }

    /// Fetches a blob into `path`, verified. Tries until the coordinator answers.
    ///
    /// # Errors
    /// When the store does not have it, or it cannot be written.
    pub async fn download(&self, sha256: &str, path: &Path) -> Result<(), DownloadError> {
        let mut damaged = 0;
        loop {
            match self.try_download(sha256, path).await {
                Ok(()) => return Ok(()),
                Err(Broken::ForGood(error)) => return Err(error),
                Err(Broken::Damaged) => {
                    damaged += 1;
                    // It will not get better: as good as none.
                    if damaged == DAMAGED {
                        return Err(DownloadError::Missing);
                    }
                    tracing::warn!(sha256, "a checkpoint arrived damaged, fetching it again");
                }
                Err(Broken::ForNow(status)) => {
                    tracing::warn!(sha256, error = status.message(), "cannot fetch a checkpoint");
                }
            }
            sleep(AGAIN).await;
        }
    }

    async fn try_download(&self, sha256: &str, path: &Path) -> Result<(), Broken> {
        let write = |error| Broken::ForGood(DownloadError::Write(error));
        let request = DownloadRequest { sha256: sha256.to_owned() };
        let mut chunks = BlobsClient::new(self.0.clone()).download(request).await.map_err(broken)?.into_inner();
        let beside = path.with_extension("tmp");
        let mut file = fs::File::create(&beside).await.map_err(write)?;
        let mut digest = Sha256::new();
        while let Some(chunk) = chunks.next().await {
            let data = chunk.map_err(broken)?.data;
            digest.update(&data);
            file.write_all(&data).await.map_err(write)?;
        }
        file.flush().await.map_err(write)?;
        if format!("{:x}", digest.finalize()) != sha256 {
            return Err(Broken::Damaged);
        }
        fs::rename(&beside, path).await.map_err(write)
    }
}

fn broken(status: Status) -> Broken {
    match status.code() {
        Code::NotFound => Broken::ForGood(DownloadError::Missing),
        Code::DataLoss => Broken::Damaged,
        _ => Broken::ForNow(status),
    }
}

/// A checkpoint whose file, if it is one, cannot go away any more.
enum Opened {
    File(fs::File),
    Bytes(Bytes),
}

impl Opened {
    /// Sends everything; stops quietly when nobody wants more.
    async fn send(self, mut head: UploadChunk, send: mpsc::Sender<UploadChunk>) -> io::Result<()> {
        let next = |data| UploadChunk { sha256: String::new(), bytes: 0, data };
        match self {
            Self::Bytes(mut bytes) => {
                head.data = bytes.split_to(bytes.len().min(CHUNK));
                let mut open = send.send(head).await.is_ok();
                while open && !bytes.is_empty() {
                    let data = bytes.split_to(bytes.len().min(CHUNK));
                    open = send.send(next(data)).await.is_ok();
                }
            }
            Self::File(mut file) => {
                head.data = chunk(&mut file).await?;
                let mut open = send.send(head).await.is_ok();
                while open {
                    let data = chunk(&mut file).await?;
                    if data.is_empty() {
                        break;
                    }
                    open = send.send(next(data)).await.is_ok();
                }
            }
        }
        Ok(())
    }
}

async fn chunk(file: &mut fs::File) -> io::Result<Bytes> {
    let mut data = Vec::with_capacity(CHUNK);
    file.take(CHUNK as u64).read_to_end(&mut data).await?;
    Ok(data.into())
}
