//! Root file systems of images, and the layers that lie over them, in directories of this host.

mod facts;
mod make;
mod plan;

pub(crate) use facts::{FileFacts, content_name};
pub(crate) use make::MakeError;
pub(crate) use plan::{Plan, PlannedFile};
