//! Bytes in and out of the store.

use futures_util::{StreamExt as _, stream};
use sweep_core::access::Caller;
use sweep_core::retain::owners;
use sweep_proto::status::status;
use sweep_proto::v1::blobs_server::Blobs as Service;
use sweep_proto::v1::{DownloadChunk, DownloadRequest, UploadChunk, UploadReply};
use tonic::codegen::BoxStream;
use tonic::{Code, Request, Response, Status, Streaming};

use super::{Edge, blob_failed, refused};
use crate::access::identity::Identity;
use crate::blobs::BlobError;
use crate::handle::View;

/// Bytes in one message of a download.
const CHUNK: usize = 512 << 10;

/// The service.
#[derive(Debug)]
pub(super) struct BlobService(pub(super) Edge);

#[tonic::async_trait]
impl Service for BlobService {
    async fn upload(&self, request: Request<Streaming<UploadChunk>>) -> Result<Response<UploadReply>, Status> {
        let mut chunks = request.into_inner();
        let empty = || status(Code::InvalidArgument, "upload_empty", "the first message must say sha256 and bytes");
        let first = chunks.message().await?.ok_or_else(empty)?;
        let upload = self.0.blobs.upload(&first.sha256, first.bytes).await.map_err(blob_failed)?;
        let Some(mut upload) = upload else { return Ok(Response::new(UploadReply { existing: true })) };
        upload.push(&first.data).await.map_err(blob_failed)?;
        while let Some(chunk) = chunks.message().await? {
            upload.push(&chunk.data).await.map_err(blob_failed)?;
        }
        upload.finish().await.map_err(blob_failed)?;
        Ok(Response::new(UploadReply { existing: false }))
    }

    type DownloadStream = BoxStream<DownloadChunk>;

    async fn download(&self, request: Request<DownloadRequest>) -> Result<Response<Self::DownloadStream>, Status> {
        let identity = Identity::of(&request);
        let sha256 = request.into_inner().sha256;
        // What is in another project is not there. Agents go on with trials of everybody.
        if matches!(identity.caller(), Caller::Person(_)) {
            let (asked, caller) = (sha256.clone(), identity.clone());
            let sees = move |view: View<'_>| owners(view.core.state(), &asked).any(|sweep| caller.sees(sweep));
            if !self.0.handle.query(sees).await.map_err(refused)? {
                return Err(blob_failed(BlobError::Missing(sha256)));
            }
        }
        let (bytes, data) = self.0.blobs.download(&sha256).await.map_err(blob_failed)?;
        let head = stream::iter([Ok(DownloadChunk { bytes, data: Default::default() })]);
        let body = data.flat_map(|piece| {
            let pieces: Vec<_> = match piece {
                Ok(mut piece) => {
                    let mut cut = Vec::new();
                    while !piece.is_empty() {
                        let data = piece.split_to(piece.len().min(CHUNK));
                        cut.push(Ok(DownloadChunk { bytes: 0, data }));
                    }
                    cut
                }
                Err(error) => vec![Err(blob_failed(error))],
            };
            stream::iter(pieces)
        });
        Ok(Response::new(Box::pin(head.chain(body))))
    }
}
