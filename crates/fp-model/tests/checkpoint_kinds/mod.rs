//! Folders that are something else than a full model, or not quite one: each is refused
//! by its name, before tensors are counted, and the same way wherever a model is opened.

mod adapters;
mod class_token;
mod folder;
mod inputs;
mod parts;
mod quantised;
mod unused;
