//! The worker: makes the forms of a warm service, in the input root of its action.
//!
//! ```text
//! order.json  config.json  root.tar ─► place.rs: a directory to work in, the root file system
//!                                   ─► forms.rs: cold start, dump, restore, stop, start (warm.rs: until it is warm)
//!                                   ─► layers.rs, memory.rs: made/
//! ```
//!
//! Whatever becomes of this process, the kernel ends all that it has started. What is left on the disk then lies in its
//! directory; of the control groups, which are empty, the next worker removes the names.

mod error;
mod forms;
mod layers;
mod memory;
mod order;
mod place;
mod warm;

use std::fs;
use std::path::Path;
use std::time::Instant;

pub use error::WorkerError;

use crate::container::{Container, ContainerOptions, Owner, Processes, Programs, Service, World};
use crate::host::{Criu, fingerprint};
use crate::oci::ImageConfig;
use crate::spec::{Form, Made};

use super::outcome::{MADE, OUTCOME, Outcome};
use super::{Order, ROOT_ARCHIVE};
use forms::Forms;
use place::Place;

/// Tells how far the work is.
pub type Say<'a> = &'a dyn Fn(&str);

/// Makes the forms of the service that the order in a directory is for. This process must have no threads yet, and is
/// in other namespaces afterwards. Blocks.
///
/// # Errors
/// When this host cannot do it, the order is not of the form, or the service does not get warm.
pub fn make(directory: &Path, say: Say) -> Result<(), WorkerError> {
    let made = make_all(directory, say);
    place::clear(directory);
    made
}

fn make_all(directory: &Path, say: Say) -> Result<(), WorkerError> {
    let order = order::order(directory)?;
    let image = order::image(directory)?;
    let of_files = Owner::current()?;
    if of_files != Owner::Image {
        return Err(WorkerError::NotRoot);
    }
    let programs = Programs::find()?;
    let world = World::enter(of_files, Processes::Host)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(WorkerError::io("start a runtime in", directory))?;
    let host = runtime.block_on(fingerprint(Criu::named().as_deref()));
    let host = host.map_err(WorkerError::Host)?;
    let place = Place::find(directory, &world)?;
    say(&format!("working in `{}`", place.path().display()));
    let archive = directory.join(ROOT_ARCHIVE);
    timed(say, "root file system unpacked", || place.unpack(&programs, &archive))?;
    let images = place.path().join("memory");
    let service = service(&order, &image, programs.clone(), world, place)?;
    let mut forms = Forms::new(service, &order.service, images.clone(), say);
    let made = runtime.block_on(forms.make())?;
    let service = forms.end();
    let outcome = Outcome {
        version: Order::VERSION,
        layers: layers_of(&made.memory).max(layers_of(&made.filesystem)),
        made: Made {
            host,
            cold_ms: made.cold_ms,
            warmup_ms: made.warmup_ms,
            memory: made.memory,
            filesystem: made.filesystem,
        },
    };
    let to = directory.join(MADE);
    fs::create_dir_all(&to).map_err(WorkerError::io("make the directory", &to))?;
    let uppers = service.directory.kept();
    timed(say, "layers archived", || layers::archive(&programs, &uppers[..outcome.layers.min(uppers.len())], &to))?;
    if let Form::Published { .. } = outcome.made.memory {
        timed(say, "memory compressed", || memory::compress(&images, &to))?;
    }
    let path = to.join(OUTCOME);
    fs::write(&path, serde_json::json!(outcome).to_string()).map_err(WorkerError::io("write", &path))
}

/// Returns what starts the service.
fn service(
    order: &Order,
    image: &ImageConfig,
    programs: Programs,
    world: World,
    place: Place,
) -> Result<Service, WorkerError> {
    let command = order.service.cmd.clone().unwrap_or_default();
    let options = ContainerOptions { command, ..ContainerOptions::alone() };
    let root = place.root();
    let container = Container::new(&root, image, &options, Owner::Image, false)?;
    let program = std::env::current_exe().map_err(WorkerError::io("find the program", "/proc/self/exe".as_ref()))?;
    Ok(Service { programs, container, options, root, layers: Vec::new(), world, program, directory: place.directory })
}

/// Returns how many layers a form takes.
fn layers_of(form: &Form) -> usize {
    match form {
        Form::Published { layers, .. } => *layers,
        Form::Refused { .. } => 0,
    }
}

/// Does something and tells how long it took.
fn timed<T>(say: Say, what: &str, work: impl FnOnce() -> Result<T, WorkerError>) -> Result<T, WorkerError> {
    let started = Instant::now();
    let outcome = work()?;
    say(&format!("{what} after {} ms", started.elapsed().as_millis()));
    Ok(outcome)
}
