//! What a checkpoint's folder holds, determined before single tensors are looked up.
//!
//! A folder that holds an adapter, a quantised model or one part of a model lacks dozens of
//! tensors, and a list of them would not explain why. So the folder is judged as a whole first: by
//! its files and config ([`Folder`]), then by the names of its tensors ([`check_tensors`]). After
//! that it is a model of the expected kind; its missing tensors are listed, and so are unused ones
//! that would change its answers ([`unused`]). [`inputs`] checks configuration, preprocessor and
//! tokenizer against them.

mod adapter;
mod error;
mod family;
mod folder;
mod inputs;
mod part;
mod quantised;
mod unused;

use crate::error::Result;
use crate::weights::Checkpoint;

pub use error::CheckpointError;
pub(crate) use folder::Folder;
pub(crate) use inputs::Inputs;
pub(crate) use part::lacking_part;
pub(crate) use unused::unused_tensors;

/// Checks a folder by its files and its config, before its weights are opened.
///
/// # Errors
/// What the folder holds instead of a full model. Files that can't be read are no error here;
/// reading them later reports it.
pub(crate) fn check_folder(folder: &Folder) -> Result<()> {
    adapter::check_folder(folder)?;
    family::check(folder)?;
    part::check_folder(folder)?;
    if !folder.is_checkpoint() {
        return Err(CheckpointError::NotACheckpoint {
            dir: folder.dir().to_owned(),
        }
        .into());
    }
    Ok(())
}

/// Checks a folder by the names and number formats of its tensors.
///
/// # Errors
/// Unmerged or quantised weights, or only one part of a model.
pub(crate) fn check_tensors(folder: &Folder, weights: &Checkpoint) -> Result<()> {
    adapter::check_tensors(weights)?;
    quantised::check(folder, weights)?;
    Ok(part::check_tensors(weights)?)
}

/// Explains `error`, which opening the weights gave: if the config states quantisation, the folder
/// is reported as quantised, since such formats often can't be opened at all, and weights that are
/// still missing would be quantised too.
pub(crate) fn explain(folder: &Folder, error: crate::ModelError) -> crate::ModelError {
    use crate::ModelError::{NoWeights, Shard};
    match (&error, quantised::declared(folder)) {
        (Shard { .. } | NoWeights { .. }, Some(declared)) => declared.stored().into(),
        _ => error,
    }
}
