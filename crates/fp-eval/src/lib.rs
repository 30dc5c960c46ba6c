//! Studies, and measurements of what pruning saves.
//!
//! A [`study::StudyConfig`] and a model's shape make a [`study::Grid`] of cells; [`study::run()`]
//! answers every question under every cell and appends one record per question to a run's folder,
//! from which all reports are made. The same configuration gives the same bytes for any number of
//! threads, batch size, engine, interruptions and shards. [`efficiency`] measures time and memory
//! and compares them with counted costs.
//!
//! ```
//! use fp_eval::study::{Grid, ModelShape, StudyConfig};
//! use fp_model::Preset;
//! use fp_scoring::MethodRegistry;
//!
//! let config: StudyConfig = serde_json::from_str(
//!     r#"{"study": "a", "head_selection_strategies": ["sum", "variance"],
//!         "num_selected_heads": ["1/2"], "prune_layer": 1, "budgets": [{"kept": 4}]}"#,
//! )?;
//! let shape = ModelShape::new(&Preset::Tiny.config());
//! let grid = Grid::new(&config, &shape, &MethodRegistry::standard())?;
//! assert!(grid.cells.iter().any(|cell| cell.id.contains("variance")));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod efficiency;
#[cfg(test)]
mod error_kinds;
pub mod format;
pub mod study;
