//! Folders that aren't a full model, or not quite: each is refused for what it is, before tensors
//! are listed, and in the same way wherever a model is opened.

mod adapters;
mod class_token;
mod folder;
mod inputs;
mod parts;
mod quantised;
mod unused;
