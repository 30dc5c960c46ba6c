//! Arrays of other libraries, read where they lie.
//!
//! Two protocols say where: NumPy's `__array_interface__`, and DLPack, which PyTorch, JAX and
//! others speak. Neither copies. The buffer protocol isn't part of Python's stable interface
//! before 3.11; what has nothing else goes through `numpy.asarray`, which doesn't copy either.
#![allow(unsafe_code)] // memory that others own; nowhere else in this crate

use std::ffi::{c_int, c_void};

use anyhow::{Result, bail, ensure};
use fp_cli::api::Elements;
use half::{bf16, f16};
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyDict};

use crate::error::to_python;

/// Number types that are read.
#[derive(Clone, Copy)]
enum Dtype {
    F64,
    F32,
    F16,
    Bf16,
}

/// An array of another library, kept alive.
pub(crate) struct Borrowed {
    address: usize,
    /// Elements from the first to the last that an index leads to.
    extent: usize,
    dtype: Dtype,
    shape: Vec<usize>,
    /// In elements.
    strides: Vec<usize>,
    /// Whoever owns the memory.
    _owner: Py<PyAny>,
}

const NUMBER_TYPES: &str = "float64, float32, float16 or bfloat16";

impl Borrowed {
    /// Finds out where the elements of `array` lie; `name` is what it is called in errors.
    pub(crate) fn new(name: &str, array: &Bound<'_, PyAny>) -> PyResult<Borrowed> {
        if array.hasattr("__array_interface__")? {
            return Borrowed::of_interface(name, array);
        }
        if array.hasattr("__dlpack__")? {
            return Borrowed::of_dlpack(name, array);
        }
        Err(to_python(anyhow::anyhow!(
            "{name} is a {}; expected an array of {NUMBER_TYPES} in host memory: NumPy's, a \
             PyTorch tensor, or another that has __array_interface__ or __dlpack__",
            array.get_type().name()?
        )))
    }

    /// By NumPy's protocol, version 3.
    fn of_interface(name: &str, array: &Bound<'_, PyAny>) -> PyResult<Borrowed> {
        let interface = array.getattr("__array_interface__")?;
        let interface = interface.cast::<PyDict>()?;
        let part = |key: &str| -> PyResult<Bound<'_, PyAny>> {
            let found = interface.get_item(key)?;
            found.ok_or_else(|| {
                to_python(anyhow::anyhow!(
                    "{name}: __array_interface__ has no `{key}`"
                ))
            })
        };
        let typestr: String = part("typestr")?.extract()?;
        let shape: Vec<usize> = part("shape")?.extract()?;
        let (address, _is_read_only): (usize, bool) = part("data")?.extract()?;
        let strides = match interface.get_item("strides")? {
            Some(strides) if !strides.is_none() => Some(strides.extract::<Vec<isize>>()?),
            _ => None,
        };
        let described = || -> Result<Borrowed> {
            let (dtype, size) = match typestr.as_str() {
                "<f8" => (Dtype::F64, 8),
                "<f4" => (Dtype::F32, 4),
                "<f2" => (Dtype::F16, 2),
                _ => bail!("{name} is of type {typestr}; expected {NUMBER_TYPES}, little-endian"),
            };
            let strides = strides
                .map(|strides| -> Result<Vec<isize>> {
                    let in_elements = |bytes: isize| {
                        ensure!(
                            bytes % size == 0,
                            "{name} has a stride of {bytes} bytes, no multiple of an element's {size}"
                        );
                        Ok(bytes / size)
                    };
                    strides.into_iter().map(in_elements).collect()
                })
                .transpose()?;
            let owner = array.clone().unbind();
            Borrowed::checked(name, address, dtype, shape, strides, owner)
        };
        described().map_err(to_python)
    }

    /// By DLPack.
    fn of_dlpack(name: &str, array: &Bound<'_, PyAny>) -> PyResult<Borrowed> {
        let (device, index): (i32, i32) = array.call_method0("__dlpack_device__")?.extract()?;
        if device != DEVICE_CPU && device != DEVICE_CUDA_HOST {
            return Err(to_python(anyhow::anyhow!(
                "{name} lies on a device (DLPack type {device}, number {index}); expected host \
                 memory: copy it there first, in PyTorch by .cpu()"
            )));
        }
        let capsule = array.call_method0("__dlpack__")?;
        let capsule = capsule.cast_into::<PyCapsule>()?;
        let pointer = capsule.pointer_checked(Some(c"dltensor"))?;
        // SAFETY: a capsule of this name holds a DLManagedTensor, by the protocol of
        // `__dlpack__`, and frees it with itself as long as nobody has taken it over; the
        // capsule is kept as the owner.
        let tensor = unsafe { pointer.cast::<ManagedTensor>().as_ref() };
        let tensor = &tensor.tensor;
        let owner = capsule.into_any().unbind();
        let described = || -> Result<Borrowed> {
            let dtype = match (tensor.dtype.code, tensor.dtype.bits, tensor.dtype.lanes) {
                (CODE_FLOAT, 64, 1) => Dtype::F64,
                (CODE_FLOAT, 32, 1) => Dtype::F32,
                (CODE_FLOAT, 16, 1) => Dtype::F16,
                (CODE_BFLOAT, 16, 1) => Dtype::Bf16,
                (code, bits, _) => {
                    bail!(
                        "{name} is of DLPack type {code} with {bits} bits; expected {NUMBER_TYPES}"
                    )
                }
            };
            let len = usize::try_from(tensor.ndim)?;
            let sides = |pointer: *const i64| -> Result<Vec<isize>> {
                // SAFETY: shape, and strides where they aren't null, have `ndim` entries.
                let sides = unsafe { std::slice::from_raw_parts(pointer, len) };
                Ok(sides
                    .iter()
                    .map(|&side| isize::try_from(side))
                    .collect::<Result<_, _>>()?)
            };
            let (shape, strides) = match len {
                0 => (Vec::new(), None),
                _ if tensor.strides.is_null() => (sides(tensor.shape)?, None),
                _ => (sides(tensor.shape)?, Some(sides(tensor.strides)?)),
            };
            let shape = shape
                .into_iter()
                .map(usize::try_from)
                .collect::<Result<_, _>>()?;
            let address = tensor.data as usize + usize::try_from(tensor.byte_offset)?;
            Borrowed::checked(name, address, dtype, shape, strides, owner)
        };
        described().map_err(to_python)
    }

    fn checked(
        name: &str,
        address: usize,
        dtype: Dtype,
        shape: Vec<usize>,
        strides: Option<Vec<isize>>,
        owner: Py<PyAny>,
    ) -> Result<Borrowed> {
        let strides = match strides {
            Some(strides) => strides
                .into_iter()
                .map(|stride| {
                    usize::try_from(stride).map_err(|_| {
                        anyhow::anyhow!("{name} runs backwards (stride {stride}); copy it first")
                    })
                })
                .collect::<Result<_>>()?,
            None => row_major(&shape),
        };
        let last = shape.iter().zip(&strides).try_fold(0_usize, |last, step| {
            last.checked_add(step.0.saturating_sub(1).checked_mul(*step.1)?)
        });
        let extent = match last {
            _ if shape.contains(&0) => 0,
            Some(last) => last + 1,
            None => bail!("{name} of shape {shape:?} is larger than memory can be"),
        };
        let size = dtype.size();
        ensure!(
            extent == 0 || (address != 0 && address.is_multiple_of(size)),
            "{name} lies at an address that is not a multiple of its elements' {size} bytes; copy it first"
        );
        Ok(Borrowed {
            address,
            extent,
            dtype,
            shape,
            strides,
            _owner: owner,
        })
    }

    /// Address of the first element.
    pub(crate) fn address(&self) -> usize {
        self.address
    }

    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// In elements.
    pub(crate) fn strides(&self) -> &[usize] {
        &self.strides
    }

    /// The elements, where they lie.
    pub(crate) fn elements(&self) -> Elements<'_> {
        match self.dtype {
            Dtype::F64 => Elements::F64(self.slice::<f64>()),
            Dtype::F32 => Elements::F32(self.slice::<f32>()),
            Dtype::F16 => Elements::F16(self.slice::<f16>()),
            Dtype::Bf16 => Elements::Bf16(self.slice::<bf16>()),
        }
    }

    fn slice<T>(&self) -> &[T] {
        if self.extent == 0 {
            return &[];
        }
        // SAFETY: the owner, which outlives `self`, promises by its protocol that every index
        // of the shape leads to an element at these strides, and `extent` ends with the last
        // one; all lie in one allocation. The address is aligned (`checked`), T is the type
        // that was named, and any bits are a number. As with any extension, nobody may write
        // to the array while it is read; Python code that does so in another thread breaks
        // that promise.
        unsafe { std::slice::from_raw_parts(self.address as *const T, self.extent) }
    }
}

impl Dtype {
    const fn size(self) -> usize {
        match self {
            Dtype::F64 => 8,
            Dtype::F32 => 4,
            Dtype::F16 | Dtype::Bf16 => 2,
        }
    }
}

fn row_major(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1_usize; shape.len()];
    for at in (1..shape.len()).rev() {
        strides[at - 1] = strides[at].saturating_mul(shape[at]);
    }
    strides
}

/// `kDLCPU` and `kDLCUDAHost`.
const DEVICE_CPU: i32 = 1;
const DEVICE_CUDA_HOST: i32 = 3;
/// `kDLFloat` and `kDLBfloat`.
const CODE_FLOAT: u8 = 2;
const CODE_BFLOAT: u8 = 4;

/// `DLManagedTensor` of dlpack.h, of which the fields behind the tensor are the owner's.
#[repr(C)]
struct ManagedTensor {
    tensor: Tensor,
}

/// `DLTensor` of dlpack.h.
#[repr(C)]
struct Tensor {
    data: *mut c_void,
    device_type: c_int,
    device_id: i32,
    ndim: i32,
    dtype: DataType,
    shape: *const i64,
    strides: *const i64,
    byte_offset: u64,
}

/// `DLDataType` of dlpack.h.
#[repr(C)]
struct DataType {
    code: u8,
    bits: u8,
    lanes: u16,
}
