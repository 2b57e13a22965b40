//! What a process that looks after an instance is told at first, and what it answers.

use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Serialize};

use super::error::{Failure, InstanceError};
use super::state::Instance;
use crate::container::ContainerOptions;
use crate::oci::ImageConfig;
use crate::spec::{Command, FormName, Ready, Service};

/// Seconds that an instance may take when nothing is said of it.
const TIMEOUT: u64 = 60;

/// What is to be started.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Order {
    /// The client root.
    pub client: PathBuf,
    /// What the environment is called.
    pub environment: String,
    /// Its key.
    pub key: String,
    /// The root file system of the image.
    pub root: PathBuf,
    /// The file with its configuration.
    pub config: PathBuf,
    /// What lies over it, the lowest layer first.
    pub layers: Vec<PathBuf>,
    /// What is woken up, rather than the command started: a directory with what CRIU wrote.
    pub images: Option<PathBuf>,
    /// Which form of a checkpoint this is.
    pub form: Option<FormName>,
    /// The command, and how it runs.
    pub options: ContainerOptions,
    /// Ports in the container that are passed on.
    pub ports: Vec<u16>,
    /// How it is known that the service is ready.
    pub ready: Option<Ready>,
    /// Commands that run beside the service once it is ready, in this order.
    pub warmup: Vec<Command>,
    /// What runs beside it at last, so that the service learns that it is a copy.
    pub restored: Option<Command>,
    /// Seconds that this may take.
    pub timeout_seconds: u64,
    /// The process to which the instance belongs.
    pub owner: Option<u32>,
}

impl Order {
    /// Returns one for the command of an image, without ports, ready as soon as it runs, that belongs to nobody.
    pub fn of_image(client: &Path, environment: String, key: String, root: PathBuf, config: PathBuf) -> Self {
        Self {
            client: client.to_owned(),
            environment,
            key,
            root,
            config,
            layers: Vec::new(),
            images: None,
            form: None,
            options: ContainerOptions::alone(),
            ports: Vec::new(),
            ready: None,
            warmup: Vec::new(),
            restored: None,
            timeout_seconds: TIMEOUT,
            owner: None,
        }
    }

    /// Makes it one for a copy of a service, in this form.
    #[must_use]
    pub fn of_service(self, service: &Service, form: FormName) -> Self {
        let Service { cmd, ready, warmup, restored, timeout, .. } = service.clone();
        Self {
            form: Some(form),
            options: ContainerOptions { command: cmd.unwrap_or_default(), ..self.options },
            ready: Some(ready),
            warmup: if form == FormName::Cold { warmup } else { Vec::new() },
            restored,
            timeout_seconds: timeout.unwrap_or(self.timeout_seconds),
            ..self
        }
    }

    /// Returns it as one line.
    pub(super) fn line(&self) -> Result<String, InstanceError> {
        serde_json::to_string(self).map_err(|error| InstanceError::io("describe", &self.root)(error.into()))
    }

    /// Returns the configuration of the image.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn image(&self) -> Result<ImageConfig, InstanceError> {
        let failed = || InstanceError::io("read", &self.config);
        let bytes = fs::read(&self.config).map_err(failed())?;
        ImageConfig::parse(&bytes).map_err(|error| failed()(io::Error::other(error)))
    }
}

/// What became of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Reply {
    Started(Box<Instance>),
    Failed(Failure),
}
