//! Studies: comparing strategies on datasets, and recording the results.
//!
//! A [`StudyConfig`] describes a study. With a model's shape it becomes a [`Grid`] of cells;
//! [`run()`] answers every sample under every cell and appends one [`SampleRecord`] per sample to a
//! run folder, from which every table and test is derived.
//!
//! Modules: `prepare` reads data and model, `order` determines the order of samples, `run` runs a
//! study from start to end, `answering` has the threads, `loading` loads images ahead of time,
//! `engine` answers, `choose` selects the cells' tokens, `answers` makes records, `folder` writes
//! them.

mod answering;
mod answers;
mod budget;
mod cells;
mod choose;
pub mod config;
mod cost;
mod engine;
mod error;
mod failure;
mod files;
mod folder;
mod grid;
mod halves;
mod hashes;
mod inputs;
mod line;
mod lines;
mod load;
mod loading;
pub(crate) mod memory;
mod merge;
mod method;
mod names;
pub(crate) mod needs;
mod options;
mod order;
mod own_methods;
mod path;
mod places;
mod prefetch_queue;
mod prepare;
mod quality;
mod rank_heads;
mod record;
mod records;
mod run;
mod selection_file;
mod shards;
mod spec;
mod static_heads;
mod subset;
mod timings;
mod token_flow;
mod valid;

pub use budget::Budget;
pub use cells::{
    CellCost, CellResult, Mean, OnSameQuestions, ResultSums, cell_results, on_same_questions,
};
pub use config::StudyConfig;
pub use cost::{CostSums, CountedCost, CountedMacs, counted_cost};
pub use engine::Engine;
pub use error::StudyError;
pub use failure::FailureKind;
pub use files::write_whole;
pub use folder::{
    LOCK_FILE, LockHolder, SPEC_FILE, TIMINGS_FILE, read_lock, read_records, read_spec,
    read_timings,
};
pub use grid::{Cell, Grid, GridError, ModelShape};
pub use halves::Halves;
pub use inputs::EncodedImage;
pub(crate) use inputs::{Cut, Inputs, LoadedImage};
pub use line::LineError;
pub(crate) use load::{load_options, number_format};
pub use merge::merge;
pub use method::Method;
pub use names::{dataset_selector, is_embedded, model_dir, model_folder, model_notes};
pub use needs::{DoesNotFit, MemoryNeeds};
pub use options::RunOptions;
pub use order::Shard;
pub use own_methods::methods_of;
pub(crate) use own_methods::plans_of_run;
pub use record::{
    AttentionRecord, CellRecord, CutRecord, DiversityRecord, NEAR_TIE_MARGIN, QueryRows, RunRecord,
    SampleRecord, VisualInputRecord, VisualStageRecord, VisualStagesRecord,
};
pub use records::{
    BLOCKS_FILE, BlockError, Counted, Ordered, RECORDS_FILE, Records, RecordsWriter, count_records,
};
pub use run::{Progress, RunSummary, run};
pub use selection_file::{Questions, SelectionFile, SelectionFileError, selections_of_run};
pub use shards::{
    CostModel, ImageMacs, QuestionMacs, ShardPlan, ShardRule, ShardTable, plan_shards, share_out,
};
pub use spec::{
    ClipSpec, DatasetSpec, Environment, FORMAT, FileHash, ImagesHashed, Invocation, ModelSpec,
    OLDEST_FORMAT, Products, RunSpec,
};
pub use static_heads::{STATIC_HEADS_FILE, StaticHeads, StaticRanking};
pub use subset::{Subset, SubsetRule};
pub(crate) use timings::StopWatch;
pub use timings::{LoadingTimes, Stages, TimingRecord};
pub use token_flow::{StageFlow, TokenFlow};
