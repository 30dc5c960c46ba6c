//! A complete checkpoint made from the golden one, to be modified, and checks of its errors.

use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use fp_model::{
    CheckpointError, Inspection, LlavaModel, LoadOptions, ModelError, OpenedCheckpoint, inspect,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::common::checkpoint::{Tensors, golden_config, golden_tensors, save, write_config};
use crate::common::golden;

/// Files besides the weights.
const BESIDE: [&str; 3] = [
    "generation_config.json",
    "preprocessor_config.json",
    "tokenizer.json",
];

pub(crate) struct Folder {
    root: TempDir,
}

impl Folder {
    /// The golden checkpoint with modified tensors and config.
    pub(crate) fn with(change: impl FnOnce(&mut Tensors, &mut Value)) -> Folder {
        let folder = Folder::beside();
        let (mut tensors, mut config) = (golden_tensors(), golden_config());
        change(&mut tensors, &mut config);
        write_config(folder.path(), &config);
        save(&tensors, &folder.file("model.safetensors"));
        folder
    }

    pub(crate) fn whole() -> Folder {
        Folder::with(|_, _| {})
    }

    /// All files except weights and config.
    pub(crate) fn beside() -> Folder {
        let root = TempDir::new().unwrap();
        for name in BESIDE {
            fs::copy(golden("model").join(name), root.path().join(name)).unwrap();
        }
        Folder { root }
    }

    /// An empty folder.
    pub(crate) fn empty() -> Folder {
        Folder {
            root: TempDir::new().unwrap(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> &Folder {
        fs::write(self.file(name), content).unwrap();
        self
    }

    pub(crate) fn write_json(&self, name: &str, value: &Value) -> &Folder {
        self.write(name, value.to_string())
    }

    pub(crate) fn read_json(&self, name: &str) -> Value {
        serde_json::from_slice(&fs::read(self.file(name)).unwrap()).unwrap()
    }

    pub(crate) fn remove(&self, name: &str) -> &Folder {
        fs::remove_file(self.file(name)).unwrap();
        self
    }

    pub(crate) fn inspect(&self) -> Inspection {
        inspect(self.path(), None).unwrap()
    }

    /// The error by which the folder is refused as a whole, in one line; the same for inspecting,
    /// opening and loading.
    #[track_caller]
    pub(crate) fn refusal(&self) -> CheckpointError {
        let text = self.refused_with(&[]);
        let error = OpenedCheckpoint::open(self.path(), None).unwrap_err();
        match error {
            ModelError::Checkpoint(kind) => {
                assert_eq!(kind.to_string(), text);
                kind
            }
            other => panic!("{other}"),
        }
    }

    /// Like [`Folder::refusal`], with all `parts` in the text, which is returned.
    #[track_caller]
    pub(crate) fn refused_with(&self, parts: &[&str]) -> String {
        let error = OpenedCheckpoint::open(self.path(), None).unwrap_err();
        let text = error.to_string();
        let inspected = inspect(self.path(), None).unwrap_err().to_string();
        let loaded = LlavaModel::load(self.path(), &LoadOptions::default()).unwrap_err();
        assert_eq!((&inspected, &loaded.to_string()), (&text, &text));
        assert!(!text.contains('\n'), "{text}");
        for part in parts {
            assert!(text.contains(part), "{part} is not in: {text}");
        }
        text
    }
}

pub(crate) fn zeros(shape: &[usize]) -> Tensor {
    Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap()
}

/// Tensors with changed names.
pub(crate) fn renamed(tensors: Tensors, name: impl Fn(&str) -> Option<String>) -> Tensors {
    tensors
        .into_iter()
        .filter_map(|(old, tensor)| Some((name(&old)?, tensor)))
        .collect()
}
