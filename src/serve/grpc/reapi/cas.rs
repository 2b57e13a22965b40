//! ContentAddressableStorage: blobs in batches, and trees.

use tonic::{Request, Response, Status};

use super::{Answers, MAX_BATCH_BYTES, Reapi, digest, tree};
use crate::digest::{Digest, DigestFunction};
use crate::proto::reapi::content_addressable_storage_server::ContentAddressableStorage;
use crate::proto::reapi::{batch_read_blobs_response, batch_update_blobs_request, batch_update_blobs_response};
use crate::proto::{reapi, rpc};
use crate::serve::status::{store_status, upload_status};
use crate::store::{BlobStore, LocalBlobStore, StoreError, blocking};

#[tonic::async_trait]
impl ContentAddressableStorage for Reapi {
    type GetTreeStream = Answers<reapi::GetTreeResponse>;
    type GetChunkMappingStream = Answers<reapi::GetChunkMappingResponse>;

    async fn find_missing_blobs(
        &self,
        request: Request<reapi::FindMissingBlobsRequest>,
    ) -> Result<Response<reapi::FindMissingBlobsResponse>, Status> {
        let request = request.into_inner();
        let function = self.function(&request.instance_name, request.digest_function)?;
        let digests = digests(function, "blob_digests", &request.blob_digests)?;
        let missing = self.store.find_missing(&digests).await.map_err(|error| store_status(&error))?;
        let missing_blob_digests = missing.into_iter().map(Into::into).collect();
        Ok(Response::new(reapi::FindMissingBlobsResponse { missing_blob_digests }))
    }

    async fn batch_update_blobs(
        &self,
        request: Request<reapi::BatchUpdateBlobsRequest>,
    ) -> Result<Response<reapi::BatchUpdateBlobsResponse>, Status> {
        let request = request.into_inner();
        let function = self.function(&request.instance_name, request.digest_function)?;
        check_batch(request.requests.iter().map(|blob| blob.data.len() as u64))?;
        let store = self.store.clone();
        let update = move |blob: batch_update_blobs_request::Request| batch_update_blobs_response::Response {
            status: Some(update(&store, function, &blob).map_or_else(|status| rpc_status(&status), |()| ok())),
            digest: blob.digest,
        };
        let responses = blocking(move || request.requests.into_iter().map(update).collect()).await;
        Ok(Response::new(reapi::BatchUpdateBlobsResponse { responses }))
    }

    async fn batch_read_blobs(
        &self,
        request: Request<reapi::BatchReadBlobsRequest>,
    ) -> Result<Response<reapi::BatchReadBlobsResponse>, Status> {
        let request = request.into_inner();
        let function = self.function(&request.instance_name, request.digest_function)?;
        let digests = digests(function, "digests", &request.digests)?;
        check_batch(digests.iter().map(Digest::size))?;
        let store = self.store.clone();
        let read = move || digests.into_iter().map(|digest| read(&store, digest)).collect::<Result<_, _>>();
        let responses = blocking(read).await.map_err(|error| store_status(&error))?;
        Ok(Response::new(reapi::BatchReadBlobsResponse { responses }))
    }

    async fn get_tree(&self, request: Request<reapi::GetTreeRequest>) -> Result<Response<Self::GetTreeStream>, Status> {
        let request = request.into_inner();
        let function = self.function(&request.instance_name, request.digest_function)?;
        let root = digest(function, "root_digest", request.root_digest.as_ref())?;
        let pages = tree::pages(&self.store, root, request.page_size, &request.page_token).await?;
        Ok(Response::new(Box::pin(tokio_stream::iter(pages.into_iter().map(Ok)))))
    }

    async fn split_blob(
        &self,
        _: Request<reapi::SplitBlobRequest>,
    ) -> Result<Response<reapi::SplitBlobResponse>, Status> {
        Err(not_offered("SplitBlob"))
    }

    async fn get_chunk_mapping(
        &self,
        _: Request<reapi::GetChunkMappingRequest>,
    ) -> Result<Response<Self::GetChunkMappingStream>, Status> {
        Err(not_offered("GetChunkMapping"))
    }

    async fn splice_blob(
        &self,
        _: Request<reapi::SpliceBlobRequest>,
    ) -> Result<Response<reapi::SpliceBlobResponse>, Status> {
        Err(not_offered("SpliceBlob"))
    }

    async fn register_chunk_mapping(
        &self,
        _: Request<tonic::Streaming<reapi::RegisterChunkMappingRequest>>,
    ) -> Result<Response<reapi::RegisterChunkMappingResponse>, Status> {
        Err(not_offered("RegisterChunkMapping"))
    }
}

fn digests(function: DigestFunction, field: &'static str, all: &[reapi::Digest]) -> Result<Vec<Digest>, Status> {
    all.iter().map(|message| digest(function, field, Some(message))).collect()
}

/// Refuses batches that are larger than announced.
fn check_batch(sizes: impl Iterator<Item = u64>) -> Result<(), Status> {
    let total = sizes.fold(0, u64::saturating_add);
    if total <= MAX_BATCH_BYTES {
        return Ok(());
    }
    Err(Status::invalid_argument(format!("a batch of {total} bytes; {MAX_BATCH_BYTES} are the most")))
}

fn update(
    store: &LocalBlobStore,
    function: DigestFunction,
    blob: &batch_update_blobs_request::Request,
) -> Result<(), Status> {
    if blob.compressor != reapi::compressor::Value::Identity as i32 {
        return Err(Status::invalid_argument("no compressor is offered"));
    }
    let digest = digest(function, "requests.digest", blob.digest.as_ref())?;
    store.write(&digest, &blob.data).map_err(|error| upload_status(&error))
}

fn read(store: &LocalBlobStore, digest: Digest) -> Result<batch_read_blobs_response::Response, StoreError> {
    let (data, status) = match store.read(&digest)? {
        Some(bytes) => (bytes.into(), ok()),
        None => (Vec::new(), rpc_status(&Status::not_found(format!("blob `{digest}` is not in the CAS")))),
    };
    Ok(batch_read_blobs_response::Response { digest: Some(digest.into()), data, status: Some(status), compressor: 0 })
}

fn not_offered(rpc: &str) -> Status {
    Status::unimplemented(format!("{rpc} is not offered, as the capabilities say"))
}

fn ok() -> rpc::Status {
    rpc::Status::default()
}

fn rpc_status(status: &Status) -> rpc::Status {
    rpc::Status { code: status.code().into(), message: status.message().to_owned(), details: Vec::new() }
}
