//! Reports on made-up runs: numbers against naive loops, the page in a real browser.

mod browser;
mod figures;
mod files;
mod foreign;
mod methods;
mod naive;
mod near_ties;
mod numbers;
mod page;
mod readings;
mod synthetic;
mod verdict;
