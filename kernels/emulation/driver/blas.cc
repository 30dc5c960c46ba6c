// A cuBLAS whose device is the host, with only the matrix products that FinePruner calls.
//
// f32, f16 and bf16 with f32 accumulation. Each element is summed in an order that depends only
// on k. cuBLAS guarantees no order, so last bits differ from a device's. Calls that are not
// implemented are refused by name.

#include <cstdarg>
#include <cstdio>
#include <vector>

#include "driver.h"
#include "floats.h"

using fp::driver::bits_to_float;
using fp::driver::float_to_bf16;
using fp::driver::float_to_half;
using fp::driver::half_to_float;

namespace {

// Values of cublasStatus_t.
enum BlasStatus {
  kSuccess = 0,
  kNotInitialized = 1,
  kInvalidValue = 7,
  kMappingError = 11,
  kExecutionFailed = 13,
  kNotSupported = 15,
};
// Values of cudaDataType, cublasOperation_t, cublasComputeType_t, cublasMath_t.
enum { kF32 = 0, kF16 = 2, kBf16 = 14 };
enum { kNotTransposed = 0, kTransposed = 1 };
enum { kCompute32F = 68, kCompute32FPedantic = 69 };
enum { kHostPointers = 0 };

constexpr uintptr_t kWorkspaceAlignment = 256;
constexpr size_t kLanes = 16;

struct Handle {
  void *stream = nullptr;
  int math_mode = 0;
  int pointer_mode = kHostPointers;
};

__attribute__((format(printf, 2, 3))) int refuse(int status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::fputs("emulated cuBLAS: ", stderr);
  std::vfprintf(stderr, format, arguments);
  std::fputc('\n', stderr);
  va_end(arguments);
  return status;
}

size_t size_of(int type) { return type == kF32 ? 4 : type == kF16 || type == kBf16 ? 2 : 0; }

float load(const void *base, size_t index, int type) {
  if (type == kF32) return static_cast<const float *>(base)[index];
  const uint16_t bits = static_cast<const uint16_t *>(base)[index];
  return type == kF16 ? half_to_float(bits) : bits_to_float(uint32_t(bits) << 16);
}

void store(void *base, size_t index, int type, float value) {
  if (type == kF32)
    static_cast<float *>(base)[index] = value;
  else
    static_cast<uint16_t *>(base)[index] =
        type == kF16 ? float_to_half(value) : float_to_bf16(value);
}

/// A matrix operand, column-major: element (row, column) is at row + column·leading.
struct Operand {
  const void *base;
  int type;
  long long leading, stride;
};

struct Product {
  const char *call;
  int transpose_a, transpose_b;
  int m, n, k;
  float alpha, beta;
  Operand a, b, c;
  int batch;
};

/// The byte range from an operand's first to its last element.
FpEmulatedAccess range(const Operand &operand, long long rows, long long columns, int batch,
                       bool is_write) {
  const auto base = reinterpret_cast<uintptr_t>(operand.base);
  const size_t elements = size_t((batch - 1) * operand.stride + (columns - 1) * operand.leading + rows);
  return {base, base + elements * size_of(operand.type), is_write};
}

/// Packs op(X) so that the summed dimension is contiguous: [outer, k].
std::vector<float> packed(const Operand &operand, size_t offset, size_t outer, size_t k,
                          bool is_contiguous) {
  std::vector<float> rows(outer * k);
  for (size_t i = 0; i < outer; ++i)
    for (size_t l = 0; l < k; ++l) {
      const size_t leading = size_t(operand.leading);
      const size_t index = is_contiguous ? i * leading + l : l * leading + i;
      rows[i * k + l] = load(operand.base, offset + index, operand.type);
    }
  return rows;
}

float dot(const float *a, const float *b, size_t k) {
  float sums[kLanes] = {};
  size_t l = 0;
  for (; l + kLanes <= k; l += kLanes)
    for (size_t lane = 0; lane < kLanes; ++lane) sums[lane] += a[l + lane] * b[l + lane];
  for (size_t lane = 0; l < k; ++l, ++lane) sums[lane] += a[l] * b[l];
  for (size_t width = kLanes / 2; width > 0; width /= 2)
    for (size_t lane = 0; lane < width; ++lane) sums[lane] += sums[lane + width];
  return sums[0];
}

void multiply(const Product &it) {
  const size_t m = size_t(it.m), n = size_t(it.n), k = size_t(it.k);
  for (size_t sample = 0; sample < size_t(it.batch); ++sample) {
    const auto a = packed(it.a, sample * size_t(it.a.stride), m, k, it.transpose_a != 0);
    const auto b = packed(it.b, sample * size_t(it.b.stride), n, k, it.transpose_b == 0);
    for (size_t column = 0; column < n; ++column)
      for (size_t row = 0; row < m; ++row) {
        const size_t index =
            sample * size_t(it.c.stride) + column * size_t(it.c.leading) + row;
        float value = it.alpha * dot(&a[row * k], &b[column * k], k);
        // With beta 0, the existing value is not read: it may be NaN.
        if (it.beta != 0) value += it.beta * load(it.c.base, index, it.c.type);
        store(const_cast<void *>(it.c.base), index, it.c.type, value);
      }
  }
}

int run(Handle *handle, const Product &it) {
  if (!handle) return refuse(kNotInitialized, "%s without a handle", it.call);
  if (it.transpose_a > kTransposed || it.transpose_b > kTransposed)
    return refuse(kNotSupported, "%s of a conjugate", it.call);
  if (it.m < 0 || it.n < 0 || it.k < 0 || it.batch < 0)
    return refuse(kInvalidValue, "%s of m = %d, n = %d, k = %d, batch %d", it.call, it.m, it.n, it.k,
                  it.batch);
  const long long a_rows = it.transpose_a ? it.k : it.m, a_columns = it.transpose_a ? it.m : it.k;
  const long long b_rows = it.transpose_b ? it.n : it.k, b_columns = it.transpose_b ? it.k : it.n;
  const auto is_short = [](const Operand &operand, long long rows) {
    return operand.leading < (rows > 1 ? rows : 1);
  };
  if (is_short(it.a, a_rows) || is_short(it.b, b_rows) || is_short(it.c, it.m))
    return refuse(kInvalidValue, "%s of m = %d, n = %d, k = %d with leading dimensions %lld, %lld, %lld",
                  it.call, it.m, it.n, it.k, it.a.leading, it.b.leading, it.c.leading);
  if (it.a.stride < 0 || it.b.stride < 0 || it.c.stride < 0)
    return refuse(kInvalidValue, "%s with a negative stride", it.call);
  if (it.m == 0 || it.n == 0 || it.batch == 0) return kSuccess;  // same as cuBLAS
  std::vector<FpEmulatedAccess> accesses;
  if (it.k > 0) {
    accesses.push_back(range(it.a, a_rows, a_columns, it.batch, false));
    accesses.push_back(range(it.b, b_rows, b_columns, it.batch, false));
  }
  accesses.push_back(range(it.c, it.m, it.n, it.batch, true));
  for (const FpEmulatedAccess &access : accesses)
    if (access.begin % size_of(it.a.type)) return refuse(kMappingError, "%s: misaligned", it.call);
  const int status = fp_emulated_driver_enqueue(handle->stream, FP_EMULATED_GEMM, it.call,
                                                accesses.data(), accesses.size());
  if (status != 0) return kExecutionFailed;
  multiply(it);
  return kSuccess;
}

int check_types(const char *call, Handle *handle, int a, int b, int c, int compute) {
  if (a != b || a != c || size_of(a) == 0)
    return refuse(kNotSupported, "%s of data types %d, %d and %d: all three must be f32, f16 or bf16",
                  call, a, b, c);
  if (compute != kCompute32F && compute != kCompute32FPedantic)
    return refuse(kNotSupported, "%s computing in type %d: only f32 (68) is emulated", call, compute);
  if (handle && handle->pointer_mode != kHostPointers)
    return refuse(kNotSupported, "%s with alpha and beta on the device", call);
  return kSuccess;
}

}  // namespace

extern "C" {

int cublasCreate_v2(Handle **handle) {
  *handle = new Handle();
  return kSuccess;
}
int cublasDestroy_v2(Handle *handle) {
  delete handle;
  return kSuccess;
}
int cublasGetVersion_v2(Handle *, int *version) {
  *version = 130000;
  return kSuccess;
}
int cublasSetStream_v2(Handle *handle, void *stream) {
  if (!handle) return kNotInitialized;
  handle->stream = stream;
  return kSuccess;
}
int cublasGetStream_v2(Handle *handle, void **stream) {
  if (!handle) return kNotInitialized;
  *stream = handle->stream;
  return kSuccess;
}
int cublasSetWorkspace_v2(Handle *handle, void *workspace, size_t bytes) {
  if (!handle) return kNotInitialized;
  const auto address = reinterpret_cast<uintptr_t>(workspace);
  uintptr_t begin, end;
  if (address % kWorkspaceAlignment)
    return refuse(kInvalidValue, "cublasSetWorkspace: the workspace must start at a multiple of 256");
  if (bytes && (!fp_emulated_driver_find(address, &begin, &end) || address + bytes > end))
    return refuse(kInvalidValue, "cublasSetWorkspace of %zu bytes that are not allocated", bytes);
  return kSuccess;
}
int cublasSetMathMode(Handle *handle, int mode) {
  if (!handle) return kNotInitialized;
  handle->math_mode = mode;
  return kSuccess;
}
int cublasGetMathMode(Handle *handle, int *mode) {
  if (!handle) return kNotInitialized;
  *mode = handle->math_mode;
  return kSuccess;
}
int cublasSetPointerMode_v2(Handle *handle, int mode) {
  if (!handle) return kNotInitialized;
  handle->pointer_mode = mode;
  return kSuccess;
}
int cublasGetPointerMode_v2(Handle *handle, int *mode) {
  if (!handle) return kNotInitialized;
  *mode = handle->pointer_mode;
  return kSuccess;
}

int cublasGemmStridedBatchedEx(Handle *handle, int transpose_a, int transpose_b, int m, int n, int k,
                               const float *alpha, const void *a, int a_type, int lda,
                               long long stride_a, const void *b, int b_type, int ldb,
                               long long stride_b, const float *beta, void *c, int c_type, int ldc,
                               long long stride_c, int batch, int compute, int) {
  const char *call = "cublasGemmStridedBatchedEx";
  const int status = check_types(call, handle, a_type, b_type, c_type, compute);
  if (status != kSuccess) return status;
  return run(handle, {call, transpose_a, transpose_b, m, n, k, *alpha, *beta,
                      {a, a_type, lda, stride_a}, {b, b_type, ldb, stride_b},
                      {c, c_type, ldc, stride_c}, batch});
}

int cublasGemmEx(Handle *handle, int transpose_a, int transpose_b, int m, int n, int k,
                 const float *alpha, const void *a, int a_type, int lda, const void *b, int b_type,
                 int ldb, const float *beta, void *c, int c_type, int ldc, int compute, int) {
  const char *call = "cublasGemmEx";
  const int status = check_types(call, handle, a_type, b_type, c_type, compute);
  if (status != kSuccess) return status;
  return run(handle, {call, transpose_a, transpose_b, m, n, k, *alpha, *beta, {a, a_type, lda, 0},
                      {b, b_type, ldb, 0}, {c, c_type, ldc, 0}, 1});
}

const char *cublasGetStatusString(int status) {
  switch (status) {
    case kSuccess: return "CUBLAS_STATUS_SUCCESS";
    case kNotInitialized: return "CUBLAS_STATUS_NOT_INITIALIZED";
    case kInvalidValue: return "CUBLAS_STATUS_INVALID_VALUE";
    case kMappingError: return "CUBLAS_STATUS_MAPPING_ERROR";
    case kExecutionFailed: return "CUBLAS_STATUS_EXECUTION_FAILED";
    case kNotSupported: return "CUBLAS_STATUS_NOT_SUPPORTED";
    default: return "an error of the emulated cuBLAS";
  }
}

// Functions that the tensor library and its binding could call but never do here.
#define FP_REFUSED(name)                                                          \
  int name(...) {                                                                 \
    return refuse(kNotSupported, "%s is not emulated: call cublasGemmEx or "      \
                                 "cublasGemmStridedBatchedEx", #name);            \
  }
FP_REFUSED(cublasSgemm_v2)
FP_REFUSED(cublasDgemm_v2)
FP_REFUSED(cublasHgemm)
FP_REFUSED(cublasSgemmStridedBatched)
FP_REFUSED(cublasDgemmStridedBatched)
FP_REFUSED(cublasHgemmStridedBatched)
FP_REFUSED(cublasGemmBatchedEx)
FP_REFUSED(cublasGemmGroupedBatchedEx)
FP_REFUSED(cublasSgemv_v2)
FP_REFUSED(cublasDgemv_v2)
FP_REFUSED(cublasSasum_v2)
FP_REFUSED(cublasDasum_v2)

}  // extern "C"
