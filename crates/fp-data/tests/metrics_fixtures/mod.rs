//! Golden cases of every metric, made by running the reference evaluators. Some belong to others,
//! so they are read from their own folder and never copied here.

mod convert;
#[allow(dead_code)] // what other crates' tests use of it
mod fixture;
mod gqa;
mod health;
mod mmbench;
mod scienceqa;
mod textvqa;
mod token_quality;
mod vqa;
mod yes_no;
