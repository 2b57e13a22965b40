//! Copies of a checkpoint: in the form that is chosen, and when that does not start and nobody has asked for it, in the
//! next one, which is told.

use std::path::{Path, PathBuf};

use super::ports::all_ports;
use crate::checkpoint::next_form;
use crate::cli::error::CliError;
use crate::cli::output::note;
use crate::cli::progress::Display;
use crate::client::{Client, Prepared, Request};
use crate::instance::{Instance, InstanceError, Order, up};
use crate::spec::FormName;

/// What is wanted of all instances of a call, whatever they are made from.
pub(super) struct Wanted<'a> {
    pub(super) client: &'a Client,
    pub(super) request: &'a Request,
    /// This program.
    pub(super) program: PathBuf,
    pub(super) count: u16,
    pub(super) owner: Option<u32>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) ports: Vec<u16>,
    pub(super) timeout: Option<u64>,
}

impl Wanted<'_> {
    /// Returns the order for the command of an image.
    pub(super) fn order(&self, root: &Path, config: &Path) -> Result<Order, CliError> {
        let parts = &self.request.parts;
        let (environment, key) = (parts.name.clone(), parts.key().to_string());
        let mut order = Order::of_image(self.client.root(), environment, key, root.to_owned(), config.to_owned());
        order.options.environment.clone_from(&self.environment);
        order.timeout_seconds = self.timeout.unwrap_or(order.timeout_seconds);
        order.owner = self.owner;
        order.ports = all_ports(&order.image()?, &self.ports)?;
        Ok(order)
    }

    pub(super) async fn start(&self, order: &Order) -> Result<Vec<Instance>, InstanceError> {
        up(&self.program, order, self.count.into()).await
    }

    /// Returns the order for copies of a checkpoint.
    fn order_copies(&self, prepared: &Prepared) -> Result<Order, CliError> {
        let Prepared { facts, choice, root, config, layers, images, .. } = prepared;
        let mut order = self.order(root, config)?.of_service(&facts.service, choice.form);
        order.layers.clone_from(layers);
        order.images.clone_from(images);
        order.timeout_seconds = self.timeout.unwrap_or(order.timeout_seconds);
        Ok(order)
    }
}

/// Starts copies of a checkpoint in the form that was chosen for this host, or asked for.
pub(super) async fn start_copies(
    wanted: &Wanted<'_>,
    mut prepared: Prepared,
    asked: Option<FormName>,
    display: &Display,
) -> Result<Vec<Instance>, CliError> {
    note(&prepared.choice.why);
    loop {
        let form = prepared.choice.form;
        let error = match wanted.start(&wanted.order_copies(&prepared)?).await {
            Ok(instances) => return Ok(instances),
            Err(error) => error,
        };
        let next = next_form(form, &prepared.facts.made).filter(|_| asked.is_none() && error.is_of_form());
        let Some(next) = next else { return Err(error.into()) };
        note(&format!("{} instead of {}, which does not start here: {error}", next.as_str(), form.as_str()));
        let fetched = wanted.client.fetch_checkpoint(wanted.request, Some(next), display).await;
        display.clear();
        prepared = fetched?;
    }
}
