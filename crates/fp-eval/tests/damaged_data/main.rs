//! What can be wrong with a data set, family by family: counted and named, or refused as
//! a whole with the file's name. Never a smaller data set without a word.

mod damage;
#[path = "../dataset_support/mod.rs"]
mod dataset_support;
mod folders;
mod labels;
mod lines;
mod lists;
mod plain;
mod tables;
