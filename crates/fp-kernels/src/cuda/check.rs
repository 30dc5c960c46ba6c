//! Checks of arguments that need no device.

use super::error::CudaError;
use crate::KernelError;

/// Address range of a buffer that a launch uses.
#[derive(Debug, Clone, Copy)]
pub(super) struct Region {
    pub(super) tensor: &'static str,
    pub(super) address: u64,
    pub(super) bytes: usize,
}

impl Region {
    pub(super) fn check_alignment(
        &self,
        op: &'static str,
        alignment: usize,
    ) -> Result<(), CudaError> {
        match self.address % alignment as u64 {
            0 => Ok(()),
            _ => Err(CudaError::Misaligned {
                op,
                tensor: self.tensor,
                address: self.address,
                alignment,
            }),
        }
    }

    pub(super) fn overlaps(&self, other: &Region) -> bool {
        self.address < other.address.saturating_add(other.bytes as u64)
            && other.address < self.address.saturating_add(self.bytes as u64)
    }
}

/// Checks that no written buffer shares memory with any other buffer.
pub(super) fn check_disjoint(
    op: &'static str,
    reads: &[Region],
    writes: &[Region],
) -> Result<(), CudaError> {
    for (index, written) in writes.iter().enumerate() {
        let mut others = reads.iter().chain(&writes[index + 1..]);
        if let Some(other) = others.find(|other| written.overlaps(other)) {
            return Err(CudaError::Overlap {
                op,
                written: written.tensor,
                other: other.tensor,
            });
        }
    }
    Ok(())
}

pub(super) fn check_device(
    op: &'static str,
    tensor: &'static str,
    got: usize,
    expected: usize,
) -> Result<(), CudaError> {
    if got == expected {
        Ok(())
    } else {
        Err(CudaError::OtherDevice {
            op,
            tensor,
            got,
            expected,
        })
    }
}

pub(super) fn check_max(
    op: &'static str,
    what: &'static str,
    got: usize,
    max: usize,
) -> Result<(), CudaError> {
    if got <= max {
        Ok(())
    } else {
        Err(CudaError::TooLarge { op, what, got, max })
    }
}

pub(super) fn check_multiple(
    op: &'static str,
    what: &'static str,
    got: usize,
    multiple: usize,
) -> Result<(), CudaError> {
    match got % multiple {
        0 => Ok(()),
        _ => Err(CudaError::NotMultiple {
            op,
            what,
            got,
            multiple,
        }),
    }
}

pub(super) fn check_count(op: &'static str, count: usize, len: usize) -> Result<(), CudaError> {
    if (1..=len).contains(&count) {
        Ok(())
    } else {
        Err(KernelError::CountOutOfRange { op, count, len }.into())
    }
}

/// A dimension as the 32-bit integer that kernels take.
pub(super) fn dim(op: &'static str, what: &'static str, got: usize) -> Result<u32, CudaError> {
    u32::try_from(got).map_err(|_| CudaError::TooLarge {
        op,
        what,
        got,
        max: u32::MAX as usize,
    })
}

/// Number of values from the first to the last that sizes and strides reach.
pub(super) fn reach(dims: &[usize], strides: &[usize]) -> usize {
    dims.iter()
        .zip(strides)
        .map(|(dim, stride)| (dim - 1).saturating_mul(*stride))
        .fold(1, usize::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn region(tensor: &'static str, address: u64, bytes: usize) -> Region {
        Region {
            tensor,
            address,
            bytes,
        }
    }

    #[test]
    fn neighbours_are_no_overlap_and_one_shared_byte_is() {
        let read = [region("in", 1024, 512)];
        assert!(check_disjoint("op", &read, &[region("out", 1536, 512)]).is_ok());
        assert!(check_disjoint("op", &read, &[region("out", 512, 512)]).is_ok());
        for start in [513, 1024, 1100, 1535] {
            let error = check_disjoint("op", &read, &[region("out", start, 512)]).unwrap_err();
            assert_eq!(error.to_string(), "op: out is written and overlaps in");
        }
    }

    #[test]
    fn two_written_buffers_must_not_overlap_and_two_read_ones_may() {
        let both = [region("a", 0, 16), region("b", 8, 16)];
        assert!(check_disjoint("op", &both, &[]).is_ok());
        assert!(matches!(
            check_disjoint("op", &[], &both),
            Err(CudaError::Overlap {
                written: "a",
                other: "b",
                ..
            })
        ));
    }

    #[test]
    fn alignment_device_and_sizes() {
        assert!(region("x", 4096, 1).check_alignment("op", 16).is_ok());
        assert!(matches!(
            region("x", 4104, 1).check_alignment("op", 16),
            Err(CudaError::Misaligned { address: 4104, .. })
        ));
        assert!(check_device("op", "x", 0, 0).is_ok());
        assert!(check_device("op", "x", 1, 0).is_err());
        assert!(check_max("op", "N", 4096, 4096).is_ok());
        assert!(check_max("op", "N", 4097, 4096).is_err());
        assert!(check_multiple("op", "D", 24, 8).is_ok());
        assert!(check_multiple("op", "D", 20, 8).is_err());
        assert!(check_count("op", 0, 4).is_err());
        assert!(check_count("op", 4, 4).is_ok());
        assert!(check_count("op", 5, 4).is_err());
    }

    #[test]
    fn strides_reach_the_last_value() {
        // [2, 3, 4] dense, then the same shape with rows of 4 values at a stride of 10.
        assert_eq!(reach(&[2, 3, 4], &[12, 4, 1]), 24);
        assert_eq!(reach(&[2, 3, 4], &[30, 10, 1]), 54);
        assert_eq!(reach(&[1, 1], &[usize::MAX, 1]), 1);
    }
}
