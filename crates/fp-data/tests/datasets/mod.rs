//! Datasets: every layout written and read back, the procedural benchmark, and defects of each
//! benchmark's files: counted and named, or refused as a whole with the file's name. They never
//! shrink a dataset silently.

mod answers;
mod damage;
mod damaged_parquet;
mod dataset_support;
mod folders;
mod hub_columns;
mod labels;
mod layouts;
mod letters;
mod lines;
mod lists;
mod parquet;
mod plain;
mod scenes;
mod tables;
mod text_only;
mod texts_in_images;
