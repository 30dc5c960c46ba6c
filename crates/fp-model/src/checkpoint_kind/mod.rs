//! What a checkpoint's folder is, said before any single tensor is looked for.
//!
//! A folder that holds an adapter, a quantised model or one part of a model lacks dozens
//! of tensors, and a list of them tells nobody what is wrong. Here the folder as a whole
//! is judged first: by its files and config ([`Folder`]), then by the names of its
//! tensors ([`check_tensors`]). What remains is a model of the expected kind, whose
//! tensors are then counted, with those that would change its answers and that nothing
//! takes ([`unused`]). [`inputs`] checks configuration, preprocessor and tokenizer against them.

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

/// Judges a folder by its files and its config, before its weights are opened.
///
/// # Errors
/// Whatever it is instead of a full model; nothing about what can't be read, which
/// reading it says.
pub(crate) fn check_folder(folder: &Folder) -> Result<()> {
    adapter::check_folder(folder)?;
    family::check(folder)?;
    Ok(part::check_folder(folder)?)
}

/// Judges it by the names and formats of its tensors.
///
/// # Errors
/// Unmerged, quantised, or one part of a model.
pub(crate) fn check_tensors(folder: &Folder, weights: &Checkpoint) -> Result<()> {
    adapter::check_tensors(weights)?;
    quantised::check(folder, weights)?;
    Ok(part::check_tensors(weights)?)
}

/// What `error`, which opening the weights gave, means in a folder whose config says that
/// it is quantised: such formats often can't be opened at all, and weights that aren't
/// there yet would be quantised too.
pub(crate) fn explain(folder: &Folder, error: crate::ModelError) -> crate::ModelError {
    use crate::ModelError::{NoWeights, Shard};
    match (&error, quantised::declared(folder)) {
        (Shard { .. } | NoWeights { .. }, Some(declared)) => declared.stored().into(),
        _ => error,
    }
}
