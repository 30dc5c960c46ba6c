//! Checkpoints made from the golden one, to be renamed, split and damaged.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use candle_core::{Device, Tensor};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::golden;

pub(crate) type Tensors = BTreeMap<String, Tensor>;

pub(crate) fn golden_tensors() -> Tensors {
    candle_core::safetensors::load(golden("model/model.safetensors"), &Device::Cpu)
        .unwrap()
        .into_iter()
        .collect()
}

pub(crate) fn golden_config() -> Value {
    serde_json::from_slice(&fs::read(golden("model/config.json")).unwrap()).unwrap()
}

pub(crate) fn write_config(dir: &Path, config: &Value) {
    fs::create_dir_all(dir).unwrap();
    fs::write(dir.join("config.json"), config.to_string()).unwrap();
}

pub(crate) fn save(tensors: &Tensors, path: &Path) {
    let map: HashMap<String, Tensor> = tensors
        .iter()
        .map(|(name, t)| (name.clone(), t.clone()))
        .collect();
    candle_core::safetensors::save(&map, path).unwrap();
}

/// Writes three shards and their index.
pub(crate) fn save_shards(tensors: &Tensors, dir: &Path) {
    let mut shards = vec![Tensors::new(); 3];
    let mut index = serde_json::Map::new();
    for (i, (name, tensor)) in tensors.iter().enumerate() {
        shards[i % 3].insert(name.clone(), tensor.clone());
        index.insert(name.clone(), json!(format!("model-{}.safetensors", i % 3)));
    }
    for (i, shard) in shards.iter().enumerate() {
        save(shard, &dir.join(format!("model-{i}.safetensors")));
    }
    fs::write(
        dir.join("model.safetensors.index.json"),
        json!({"weight_map": index}).to_string(),
    )
    .unwrap();
}

/// A copy of the golden checkpoint in three shards, to be damaged.
pub(crate) fn sharded() -> TempDir {
    let root = TempDir::new().unwrap();
    write_config(root.path(), &golden_config());
    save_shards(&golden_tensors(), root.path());
    root
}
