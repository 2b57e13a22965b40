//! Reading environments files from roots, and finding the key of an environment that another one uses.

use async_trait::async_trait;
use bytes::Bytes;

use super::BuildError;
use crate::source::Sources;
use crate::spec::{
    Definition, Description, EnvironmentRef, EnvironmentsFile, GitId, KeyParts, RelativePath, ResolvedRepository,
};

/// Has the environments files of roots.
#[async_trait]
pub trait Files: Send + Sync {
    /// Returns a file of a root; `None` when the root has no such file.
    ///
    /// # Errors
    /// `UnknownRoots` when the root is not known.
    async fn file(&self, root: GitId, path: &RelativePath) -> Result<Option<Bytes>, BuildError>;
}

#[async_trait]
impl Files for Sources {
    async fn file(&self, root: GitId, path: &RelativePath) -> Result<Option<Bytes>, BuildError> {
        Ok(Self::file(self, root, path).await?)
    }
}

/// Returns the definition of the environment that the key parts name.
///
/// # Errors
/// When the root is unknown, has no such file, or the file has no such environment; `Config` when the
/// configuration is not restricted to the variables that matter: then one environment would have many keys.
pub async fn definition(files: &dyn Files, parts: &KeyParts) -> Result<Definition, BuildError> {
    let definition = named(files, &parts.description, &parts.module, &parts.name).await?;
    if parts.effective_config == parts.effective_config.restrict(definition.flexible_config()) {
        return Ok(definition);
    }
    Err(BuildError::Config { environment: parts.target(), flexible: definition.flexible_config().to_vec() })
}

async fn named(
    files: &dyn Files,
    description: &Description,
    module: &RelativePath,
    name: &str,
) -> Result<Definition, BuildError> {
    let repository = description.main();
    let path = joined(module, &repository.environments_file)?;
    definition_at(files, repository.root, &path, name).await
}

/// Returns the definition of an environment in a file of a root.
///
/// # Errors
/// As `definition`.
pub async fn definition_at(
    files: &dyn Files,
    root: GitId,
    path: &RelativePath,
    name: &str,
) -> Result<Definition, BuildError> {
    Ok(environments_at(files, root, path).await?.get(name)?.clone())
}

/// Returns the environments that a file of a root defines.
///
/// # Errors
/// As `definition`.
pub async fn environments_at(
    files: &dyn Files,
    root: GitId,
    path: &RelativePath,
) -> Result<EnvironmentsFile, BuildError> {
    let text = files.file(root, path).await?;
    let text = text.ok_or_else(|| BuildError::NoFile { root, file: path.clone() })?;
    Ok(EnvironmentsFile::parse(&path.to_string(), &text)?)
}

/// Returns a root that an environment may use, and what messages call it: its own, or one that is bound.
///
/// # Errors
/// When nothing is bound to that name.
pub(super) fn bound_root(parts: &KeyParts, binding: Option<&str>) -> Result<(String, GitId), BuildError> {
    let main = parts.description.main();
    let Some(binding) = binding else { return Ok((format!("its own root `{}`", main.root), main.root)) };
    let bound = bound(parts, binding)?.1;
    Ok((format!("root `{binding}`, which is `{}`", bound.root), bound.root))
}

/// Returns the path of an environments file in a root.
///
/// # Errors
/// When the name of the file is none.
pub fn joined(module: &RelativePath, file: &str) -> Result<RelativePath, BuildError> {
    module.join(file).map_err(|source| BuildError::FileName { file: file.to_owned(), source })
}

/// Returns the repository that is bound to a name, and its name within the description.
fn bound<'a>(parts: &'a KeyParts, binding: &str) -> Result<(&'a str, &'a ResolvedRepository), BuildError> {
    let bindings = &parts.description.main().bindings;
    let unknown = || BuildError::NoBinding {
        environment: parts.target(),
        binding: binding.to_owned(),
        known: bindings.keys().cloned().collect(),
    };
    let name = bindings.get(binding).ok_or_else(unknown)?;
    Ok((name, parts.description.repository(name).ok_or_else(unknown)?))
}

/// Returns the key parts of an environment that the one given uses.
///
/// # Errors
/// When it is in a repository that is not bound, or does not exist.
pub(super) async fn dependency(
    files: &dyn Files,
    parts: &KeyParts,
    reference: &EnvironmentRef,
) -> Result<KeyParts, BuildError> {
    let description = match &reference.binding {
        None => parts.description.clone(),
        Some(binding) => parts.description.rebase(bound(parts, binding)?.0)?,
    };
    let module = reference.module.clone().unwrap_or_else(|| parts.module.clone());
    let name = reference.name.clone();
    let definition = named(files, &description, &module, &name).await?;
    let effective_config = parts.effective_config.restrict(definition.flexible_config());
    Ok(KeyParts { description, module, name, effective_config })
}

/// Returns the documentation of an environment as JSON.
pub fn describe(definition: &Definition) -> Vec<u8> {
    let description = serde_json::json!({
        "type": definition.kind_name().as_str(),
        "doc": definition.doc(),
        "flexible_config": definition.flexible_config(),
        "config_doc": definition.config_doc(),
    });
    description.to_string().into_bytes()
}
