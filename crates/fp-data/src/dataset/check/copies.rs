//! Files with the same bytes.

use std::collections::BTreeMap;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::images::Looked;
use crate::dataset::ImageRef;

/// For each image with the same bytes as an earlier one, its index and that of the first such
/// image. Rows of tables are not considered, since a table repeats an image for each of its
/// questions.
pub(super) fn copies(images: &[&ImageRef], looked: &[Looked]) -> Vec<(usize, usize)> {
    let mut by_mark: BTreeMap<(u64, u32), Vec<usize>> = BTreeMap::new();
    for (place, (image, looked)) in images.iter().zip(looked).enumerate() {
        if let (Some(_), Some(mark)) = (image.as_file(), looked.mark) {
            by_mark.entry(mark).or_default().push(place);
        }
    }
    // Only files of equal length and checksum are read again.
    let same: Vec<usize> = by_mark
        .into_values()
        .filter(|g| g.len() > 1)
        .flatten()
        .collect();
    let hashed: Vec<(usize, Option<[u8; 32]>)> = same
        .into_par_iter()
        .map(|place| {
            let bytes = images.get(place).and_then(|image| image.read().ok());
            (place, bytes.map(|bytes| Sha256::digest(bytes).into()))
        })
        .collect();
    let mut by_hash: BTreeMap<[u8; 32], Vec<usize>> = BTreeMap::new();
    for (place, hash) in hashed {
        if let Some(hash) = hash {
            by_hash.entry(hash).or_default().push(place);
        }
    }
    let mut found = Vec::new();
    for mut places in by_hash.into_values() {
        places.sort_unstable();
        if let Some((first, others)) = places.split_first() {
            found.extend(others.iter().map(|other| (*other, *first)));
        }
    }
    found.sort_unstable();
    found
}

#[cfg(test)]
mod tests {
    use super::super::CheckDepth;
    use super::super::images::look_at;
    use super::*;

    #[test]
    fn the_first_of_equal_files_is_no_copy() {
        let folder = tempfile::tempdir().unwrap();
        let png = |shade: u8| {
            let mut bytes = std::io::Cursor::new(Vec::new());
            let picture = image::RgbImage::from_pixel(4, 4, image::Rgb([shade; 3]));
            picture
                .write_to(&mut bytes, image::ImageFormat::Png)
                .unwrap();
            bytes.into_inner()
        };
        let names = ["b", "a", "c", "d", "e", "f"];
        let contents = [png(1), png(2), png(1), png(3), png(2), png(1)];
        let images: Vec<ImageRef> = names
            .iter()
            .zip(contents)
            .map(|(name, bytes)| {
                let path = folder.path().join(name);
                std::fs::write(&path, bytes).unwrap();
                path.into()
            })
            .collect();
        let images: Vec<&ImageRef> = images.iter().collect();
        let looked = look_at(&images, CheckDepth::Header);
        assert_eq!(copies(&images, &looked), [(2, 0), (4, 1), (5, 0)]);
    }
}
