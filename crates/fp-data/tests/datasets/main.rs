//! Datasets: every layout written and read back, the procedural benchmark, and what can be
//! wrong, family by family: counted and named, or refused as a whole with the file's name.
//! Never a smaller dataset without a word.

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
