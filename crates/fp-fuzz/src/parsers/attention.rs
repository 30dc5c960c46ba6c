//! Attention dumps, read as `finepruner score` reads them.

use super::Input;

pub(super) fn read(input: &Input<'_>) -> bool {
    fp_cli::readers::attention_dump(input.file, 1 + input.number as usize % 3)
}
