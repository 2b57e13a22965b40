//! The output of an action that runs at an endpoint, read by ByteStream while it is written. Endpoints that offer none
//! name no streams; one that names them and does not give them is as good as that.

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{BoxStream, SelectAll};

use crate::proto::bytestream;
use crate::proto::bytestream::byte_stream_client::ByteStreamClient;
use crate::transport::{Channel, Link};

/// Stdout and stderr of one action.
pub(super) struct Logs {
    link: Link,
    opened: bool,
    streams: SelectAll<BoxStream<'static, (usize, Bytes)>>,
}

impl Logs {
    pub(super) fn new(link: Link) -> Self {
        Self { link, opened: false, streams: SelectAll::new() }
    }

    /// Begins to read the logs of these names, the first time that there are names.
    pub(super) fn open(&mut self, names: [&String; 2]) {
        if self.opened || names.iter().all(|name| name.is_empty()) {
            return;
        }
        self.opened = true;
        for (log, name) in names.into_iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            let pieces = read(self.link.channel(), name.clone());
            self.streams.push(pieces.map(move |bytes| (log, bytes)).boxed());
        }
    }

    /// Waits for the next piece, and says of which log it is; `None` when there is nothing to wait for.
    pub(super) async fn next(&mut self) -> Option<(usize, Bytes)> {
        self.streams.next().await
    }
}

fn read(channel: Channel, resource_name: String) -> impl futures::Stream<Item = Bytes> + Send {
    let opened = async move {
        let request = bytestream::ReadRequest { resource_name, ..Default::default() };
        let answer = ByteStreamClient::new(channel).read(request).await;
        let pieces = answer.ok().map(tonic::Response::into_inner);
        futures::stream::iter(pieces).flatten().filter_map(|piece| async { piece.ok().map(|piece| piece.data.into()) })
    };
    futures::stream::once(opened).flatten()
}
