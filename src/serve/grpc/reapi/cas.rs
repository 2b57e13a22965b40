//! ContentAddressableStorage: decodes, calls, encodes. What takes more than that has a file of its own.

use futures::stream;
use tonic::{Request, Response, Status};

use super::messages::services::content_addressable_storage_server::ContentAddressableStorage;
use super::messages::{BatchReadBlobsResponse, BatchUpdateBlobsRequest, GetTreeResponse};
use super::{Answers, Reapi, batch, digest, splitting};
use crate::digest::{Digest, DigestFunction};
use crate::proto::reapi;
use crate::serve::status::store_status;
use crate::store::BlobStore;

use super::tree::Walk;

#[tonic::async_trait]
impl ContentAddressableStorage for Reapi {
    type GetTreeStream = Answers<GetTreeResponse>;

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
        request: Request<BatchUpdateBlobsRequest>,
    ) -> Result<Response<reapi::BatchUpdateBlobsResponse>, Status> {
        let request = request.into_inner();
        let function = self.function(&request.instance_name, request.digest_function)?;
        let responses = batch::update(&self.store, function, request.requests).await?;
        Ok(Response::new(reapi::BatchUpdateBlobsResponse { responses }))
    }

    async fn batch_read_blobs(
        &self,
        request: Request<reapi::BatchReadBlobsRequest>,
    ) -> Result<Response<BatchReadBlobsResponse>, Status> {
        let request = request.into_inner();
        let function = self.function(&request.instance_name, request.digest_function)?;
        let responses = batch::read(&self.store, function, request.digests, &request.acceptable_compressors).await?;
        Ok(Response::new(BatchReadBlobsResponse { responses }))
    }

    async fn get_tree(&self, request: Request<reapi::GetTreeRequest>) -> Result<Response<Self::GetTreeStream>, Status> {
        let request = request.into_inner();
        let function = self.function(&request.instance_name, request.digest_function)?;
        let root = digest(function, "root_digest", request.root_digest.as_ref())?;
        let walk = Walk::begin(self.store.clone(), root, request.page_size, &request.page_token)?;
        let pages = stream::try_unfold(walk, |mut walk| async { Ok(walk.page().await?.map(|page| (page, walk))) });
        Ok(Response::new(Box::pin(pages)))
    }

    async fn split_blob(
        &self,
        request: Request<reapi::SplitBlobRequest>,
    ) -> Result<Response<reapi::SplitBlobResponse>, Status> {
        let request = request.into_inner();
        let function = self.function(&request.instance_name, request.digest_function)?;
        let blob = digest(function, "blob_digest", request.blob_digest.as_ref())?;
        let _turn = self.heavy.acquire().await;
        let chunks = splitting::split(&self.store, blob).await?;
        Ok(Response::new(reapi::SplitBlobResponse {
            chunk_digests: chunks.into_iter().map(Into::into).collect(),
            chunking_function: reapi::chunking_function::Value::FastCdc2020 as i32,
        }))
    }

    /// The chunks may have been cut in any way.
    async fn splice_blob(
        &self,
        request: Request<reapi::SpliceBlobRequest>,
    ) -> Result<Response<reapi::SpliceBlobResponse>, Status> {
        let request = request.into_inner();
        let function = self.function(&request.instance_name, request.digest_function)?;
        let blob = digest(function, "blob_digest", request.blob_digest.as_ref())?;
        let chunks = digests(function, "chunk_digests", &request.chunk_digests)?;
        let _turn = self.heavy.acquire().await;
        splitting::splice(&self.store, blob, chunks).await?;
        Ok(Response::new(reapi::SpliceBlobResponse { blob_digest: Some(blob.into()) }))
    }
}

fn digests(function: DigestFunction, field: &'static str, all: &[reapi::Digest]) -> Result<Vec<Digest>, Status> {
    all.iter().map(|message| digest(function, field, Some(message))).collect()
}
