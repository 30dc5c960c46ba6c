//! Arrays of other libraries, read where they lie.
//!
//! All are read as NumPy's arrays, and none is copied for that: what has `__array_interface__`
//! comes by `numpy.asarray`, tensors of PyTorch and whatever else speaks DLPack by
//! `numpy.from_dlpack`. NumPy has no bfloat16 of its own; the bits are read as integers.

use anyhow::{Result, anyhow, ensure};
use fp_cli::api::Elements;
use half::f16;
use numpy::{
    Element, PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn, PyUntypedArray, PyUntypedArrayMethods,
};
use pyo3::exceptions::PyException;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::error::{Error, to_python};

const NUMBER_TYPES: &str = "float64, float32, float16 or bfloat16";
const BFLOAT16: &str = "bfloat16";

/// `kDLCPU` and `kDLCUDAHost` of DLPack.
const HOST_DEVICES: [i32; 2] = [1, 3];

/// A view of an array has no more.
const MAX_DIMENSIONS: usize = 32;

/// An array of another library, kept alive. Threads may share it; an extension that uses the
/// `numpy` crate can't write to it meanwhile.
pub(crate) enum Borrowed<'py> {
    F64(PyReadonlyArrayDyn<'py, f64>),
    F32(PyReadonlyArrayDyn<'py, f32>),
    F16(PyReadonlyArrayDyn<'py, f16>),
    /// The bits.
    Bf16(PyReadonlyArrayDyn<'py, u16>),
}

impl<'py> Borrowed<'py> {
    /// Finds out where the elements of `array` lie; `name` is what it is called in errors.
    pub(crate) fn new(name: &str, array: &Bound<'py, PyAny>) -> PyResult<Borrowed<'py>> {
        if array.is_instance_of::<PyUntypedArray>() {
            return Borrowed::of_numpy(name, array);
        }
        let bits = bits_of_tensor(array).map_err(|error| refused(name, array, error))?;
        match bits {
            Some(bits) => Borrowed::of_bits(name, &as_numpy(name, &bits)?),
            None => Borrowed::of_numpy(name, &as_numpy(name, array)?),
        }
    }

    fn of_numpy(name: &str, array: &Bound<'py, PyAny>) -> PyResult<Borrowed<'py>> {
        let py = array.py();
        // An array that nobody else has: another thread may give the caller's another shape.
        let plain = py.get_type::<PyUntypedArray>();
        let array = &array.call_method1(intern!(py, "view"), (plain,))?;
        if let Ok(array) = array.cast::<PyArrayDyn<f32>>() {
            return borrow(name, array).map(Borrowed::F32);
        }
        if let Ok(array) = array.cast::<PyArrayDyn<f16>>() {
            return borrow(name, array).map(Borrowed::F16);
        }
        if let Ok(array) = array.cast::<PyArrayDyn<f64>>() {
            return borrow(name, array).map(Borrowed::F64);
        }
        let dtype = array.getattr("dtype")?;
        if dtype.getattr("name")?.eq(BFLOAT16)? && dtype.getattr("isnative")?.is_truthy()? {
            return Borrowed::of_bits(name, array);
        }
        let typestr: String = dtype.getattr("str")?.extract()?;
        Err(to_python(anyhow!(
            "{name} is of type {typestr}; expected {NUMBER_TYPES}, little-endian"
        )))
    }

    /// Of an array whose elements are bfloat16, whatever it calls them.
    fn of_bits(name: &str, array: &Bound<'py, PyAny>) -> PyResult<Borrowed<'py>> {
        let bits = array.call_method1(intern!(array.py(), "view"), ("uint16",))?;
        borrow(name, bits.cast::<PyArrayDyn<u16>>()?).map(Borrowed::Bf16)
    }

    /// Address of the first element.
    pub(crate) fn address(&self) -> usize {
        match self {
            Borrowed::F64(array) => array.data().addr(),
            Borrowed::F32(array) => array.data().addr(),
            Borrowed::F16(array) => array.data().addr(),
            Borrowed::Bf16(array) => array.data().addr(),
        }
    }

    /// The elements, where they lie.
    pub(crate) fn elements(&self) -> Elements<'_> {
        match self {
            Borrowed::F64(array) => Elements::F64(array.as_array()),
            Borrowed::F32(array) => Elements::F32(array.as_array()),
            Borrowed::F16(array) => Elements::F16(array.as_array()),
            Borrowed::Bf16(array) => Elements::Bf16(array.as_array()),
        }
    }
}

/// A tensor of PyTorch whose elements are bfloat16, which NumPy can't take, as integers of the
/// same bits.
fn bits_of_tensor<'py>(array: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = array.py();
    // Who has a tensor has imported PyTorch.
    let modules = py
        .import(intern!(py, "sys"))?
        .getattr(intern!(py, "modules"))?;
    let Ok(torch) = modules.get_item(intern!(py, "torch")) else {
        return Ok(None);
    };
    let Some(tensor) = torch.getattr_opt(intern!(py, "Tensor"))? else {
        return Ok(None);
    };
    if !array.is_instance(&tensor)? {
        return Ok(None);
    }
    let dtype = array.getattr(intern!(py, "dtype"))?;
    if !dtype.is(&torch.getattr(intern!(py, BFLOAT16))?) {
        return Ok(None);
    }
    let integer = torch.getattr(intern!(py, "int16"))?;
    array
        .call_method1(intern!(py, "view"), (integer,))
        .map(Some)
}

/// What isn't one of NumPy's arrays as one.
fn as_numpy<'py>(name: &str, array: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = array.py();
    let converted = if array.hasattr(intern!(py, "__array_interface__"))? {
        by_numpy(array, intern!(py, "asarray"))
    } else if array.hasattr(intern!(py, "__dlpack__"))? {
        of_dlpack(name, array)
    } else {
        Err(to_python(anyhow!(
            "{name} is a {}; expected an array of {NUMBER_TYPES} in host memory: NumPy's, a \
             PyTorch tensor, or another that has __array_interface__ or __dlpack__",
            array.get_type().name()?
        )))
    };
    converted.map_err(|error| refused(name, array, error))
}

/// An error of another library as ours.
fn refused(name: &str, array: &Bound<'_, PyAny>, error: PyErr) -> PyErr {
    let py = array.py();
    if error.is_instance_of::<Error>(py) || !error.is_instance_of::<PyException>(py) {
        return error;
    }
    let kind = match array.get_type().name() {
        Ok(kind) => kind,
        Err(error) => return error,
    };
    let refused = to_python(anyhow!(
        "{name} is a {kind} that NumPy can't read ({}); expected {NUMBER_TYPES}",
        error.value(py)
    ));
    refused.set_cause(py, Some(error));
    refused
}

fn of_dlpack<'py>(name: &str, array: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = array.py();
    // Tensors of PyTorch answer this in a tenth of the time.
    let is_cpu = array.getattr_opt(intern!(py, "is_cpu"))?;
    if !is_cpu.is_some_and(|is_cpu| is_cpu.extract().unwrap_or(false)) {
        let device = array.call_method0(intern!(py, "__dlpack_device__"))?;
        let (device, index): (i32, i32) = device.extract()?;
        ensure_host(name, device, index).map_err(to_python)?;
    }
    if is_bfloat16(array)? {
        // By `__array__`, in a type that has been added to NumPy: so does JAX.
        return by_numpy(array, intern!(py, "asarray"));
    }
    by_numpy(array, intern!(py, "from_dlpack"))
}

fn ensure_host(name: &str, device: i32, index: i32) -> Result<()> {
    ensure!(
        HOST_DEVICES.contains(&device),
        "{name} lies on a device (DLPack type {device}, number {index}); expected host memory: \
         copy it there first, in PyTorch by .cpu()"
    );
    Ok(())
}

fn by_numpy<'py>(
    array: &Bound<'py, PyAny>,
    function: &Bound<'py, PyString>,
) -> PyResult<Bound<'py, PyAny>> {
    let numpy = array.py().import(intern!(array.py(), "numpy"))?;
    numpy.call_method1(function, (array,))
}

/// Whether an array of a library that isn't known here calls its elements so.
fn is_bfloat16(array: &Bound<'_, PyAny>) -> PyResult<bool> {
    match array.getattr_opt(intern!(array.py(), "dtype"))? {
        Some(dtype) => Ok(dtype.str()? == BFLOAT16),
        None => Ok(false),
    }
}

/// Borrows an array that can be read as it lies.
fn borrow<'py, T: Element>(
    name: &str,
    array: &Bound<'py, PyArrayDyn<T>>,
) -> PyResult<PyReadonlyArrayDyn<'py, T>> {
    check_layout(name, array).map_err(to_python)?;
    let borrowed = array.try_readonly();
    borrowed.map_err(|error| to_python(anyhow!("{name} is being written to: {error}")))
}

fn check_layout<T: Element>(name: &str, array: &Bound<'_, PyArrayDyn<T>>) -> Result<()> {
    let size = size_of::<T>();
    for &stride in array.strides() {
        ensure!(
            stride.unsigned_abs().is_multiple_of(size),
            "{name} has a stride of {stride} bytes, no multiple of an element's {size}"
        );
    }
    for &stride in array.strides() {
        ensure!(
            stride >= 0,
            "{name} runs backwards (stride {}); copy it first",
            stride / size.cast_signed()
        );
    }
    ensure!(
        array.ndim() <= MAX_DIMENSIONS,
        "{name} has {} dimensions; expected at most {MAX_DIMENSIONS}",
        array.ndim()
    );
    let data = array.data();
    ensure!(
        !data.is_null() && data.is_aligned(),
        "{name} lies at an address that is not a multiple of its elements' {size} bytes; copy it first"
    );
    Ok(())
}
