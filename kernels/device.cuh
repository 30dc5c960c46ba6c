// The primitives that kernels are written with.
//
// Everything that a kernel needs from the device beyond plain C++ is here, under one name for
// nvcc and for the emulation: checked pointers to global and shared memory, barriers of groups
// and clusters, shuffles and votes, atomics, and the launch itself. Add to this list only if a
// kernel can't do without.
#pragma once

#include "fp_kernels.h"

#ifdef FP_EMULATION
#include "emulation/emulation.h"
#else
// Source location of a rendezvous: used by the emulation only.
#define FP_SITE_PARAMETERS
#define FP_SITE
#define FP_AND_SITE

#include <cooperative_groups.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

namespace fp {

/// Device memory: plain pointers here, checked ones in the emulation.
template <class T> using Global = T *;
/// Shared memory of a block.
template <class T> using Shared = T *;

template <class T> __device__ __forceinline__ Global<T> global(const void *address) {
  return static_cast<T *>(const_cast<void *>(address));
}

/// Splits the dynamic shared memory of a block into arrays. The same calls in the same order give
/// the same addresses in every block of a cluster.
class SharedArena {
 public:
  /// `count` elements, 16-byte aligned.
  template <class T> __device__ __forceinline__ Shared<T> take(unsigned count) {
    extern __shared__ __align__(16) unsigned char dynamic_shared[];
    T *array = reinterpret_cast<T *>(dynamic_shared + used_);
    used_ += (count * unsigned(sizeof(T)) + 15u) & ~15u;
    return array;
  }

 private:
  unsigned used_ = 0;
};

/// The same shared memory as values of another type, whose size divides the array.
template <class To, class From> __device__ __forceinline__ Shared<To> shared_cast(From *array) {
  return reinterpret_cast<To *>(array);
}

__device__ __forceinline__ void block_sync() { __syncthreads(); }

/// Waits for `threads` threads of the block; ids are 1 to 15.
__device__ __forceinline__ void barrier_sync(unsigned id, unsigned threads) {
  asm volatile("barrier.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

__device__ __forceinline__ void warp_sync() { __syncwarp(); }

template <class T> __device__ __forceinline__ T shuffle_xor(T value, unsigned mask) {
  return __shfl_xor_sync(0xffffffffu, value, mask);
}

/// The value of the lane `distance` below; the lane's own value if there is no such lane.
template <class T> __device__ __forceinline__ T shuffle_up(T value, unsigned distance) {
  return __shfl_up_sync(0xffffffffu, value, distance);
}

__device__ __forceinline__ unsigned ballot(bool vote) {
  return __ballot_sync(0xffffffffu, vote);
}

__device__ __forceinline__ unsigned count_bits(unsigned bits) { return __popc(bits); }

__device__ __forceinline__ void atomic_add(Shared<unsigned> array, unsigned index, unsigned value) {
  atomicAdd(array + index, value);
}

__device__ __forceinline__ void atomic_min(Global<unsigned long long> word,
                                           unsigned long long value) {
  atomicMin(word, value);
}

// Whether this compilation targets devices with clusters; on others, kernels that use clusters
// are empty and never launched.
#if __CUDA_ARCH__ >= 900
#define FP_HAS_CLUSTERS 1
__device__ __forceinline__ unsigned cluster_rank() {
  return cooperative_groups::this_cluster().block_rank();
}
__device__ __forceinline__ void cluster_sync() { cooperative_groups::this_cluster().sync(); }
/// The corresponding array in another block of the cluster.
template <class T> __device__ __forceinline__ Shared<T> on_rank(Shared<T> array, unsigned rank) {
  return cooperative_groups::this_cluster().map_shared_rank(array, rank);
}
#else
#define FP_HAS_CLUSTERS 0
template <class T> __device__ __forceinline__ Shared<T> on_rank(Shared<T> array, unsigned) {
  return array;
}
#endif

__device__ __forceinline__ float half_to_float(unsigned short bits) {
  return __half2float(__ushort_as_half(bits));
}
/// Round to the nearest binary16 and bfloat16; ties go to even.
__device__ __forceinline__ unsigned short float_to_half(float value) {
  return __half_as_ushort(__float2half_rn(value));
}
__device__ __forceinline__ unsigned short float_to_bfloat(float value) {
  return __bfloat16_as_ushort(__float2bfloat16_rn(value));
}
__device__ __forceinline__ float bits_to_float(unsigned bits) { return __uint_as_float(bits); }
__device__ __forceinline__ unsigned float_to_bits(float value) { return __float_as_uint(value); }
__device__ __forceinline__ double bits_to_double(unsigned long long bits) {
  return __longlong_as_double(static_cast<long long>(bits));
}
__device__ __forceinline__ unsigned long long double_to_bits(double value) {
  return static_cast<unsigned long long>(__double_as_longlong(value));
}

/// Loads four 8 × 8 matrices of 16-bit values from shared memory into the fragments of `mma`.
/// Lane 8·i + r passes the address of row r of matrix i, 16-byte aligned. Each lane gets, for
/// each matrix, values 2·(lane % 4) and 2·(lane % 4) + 1 of row lane / 4, the first one in the
/// low half. All 32 lanes must take part.
__device__ __forceinline__ void load_matrices(const unsigned short *row, unsigned (&out)[4]) {
  const unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(address)
               : "memory");
}

/// As `load_matrices`, with each matrix transposed.
__device__ __forceinline__ void load_matrices_transposed(const unsigned short *row,
                                                         unsigned (&out)[4]) {
  const unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(address)
               : "memory");
}

/// sums[16 × 8] += a[16 × 16] · b[16 × 8] over a warp, in f32, with binary16 operands or, if
/// IS_BFLOAT, bfloat16 operands. Fragments are laid out as in the PTX manual for mma.m16n8k16.
/// With g = lane / 4 and t = lane % 4, a lane holds of a the rows g and g + 8 at columns 2t, 2t +
/// 1 (a0, a1) and 2t + 8, 2t + 9 (a2, a3), of b the rows 2t, 2t + 1 (b0) and 2t + 8, 2t + 9 (b1)
/// of column g, and of the sums columns 2t, 2t + 1 of rows g and g + 8.
template <bool IS_BFLOAT>
__device__ __forceinline__ void mma(float (&sums)[4], const unsigned (&a)[4], unsigned b0,
                                    unsigned b1) {
  if constexpr (IS_BFLOAT)
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  else
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/// Whether the current device supports clusters.
inline bool device_has_clusters() {
  int device = 0, major = 0;
  return cudaGetDevice(&device) == cudaSuccess &&
         cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) == cudaSuccess &&
         major >= 9;
}

/// Number of multiprocessors of the current device; 0 if the query fails.
inline unsigned num_multiprocessors() {
  int device = 0, count = 0;
  const bool is_known =
      cudaGetDevice(&device) == cudaSuccess &&
      cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device) == cudaSuccess;
  return is_known && count > 0 ? unsigned(count) : 0;
}

struct LaunchShape {
  dim3 grid;
  unsigned threads;
  size_t shared_bytes;
  unsigned cluster; // blocks along x that form a cluster; 1: none
};

/// Enqueues `kernel(args)`; FP_OK or a cudaError_t.
template <class Args>
int launch(void (*kernel)(Args), const LaunchShape &shape, void *stream, const Args &args) {
  constexpr size_t kSharedWithoutAsking = 48 << 10;
  if (shape.shared_bytes > kSharedWithoutAsking) {
    cudaError_t status = cudaFuncSetAttribute(reinterpret_cast<const void *>(kernel),
                                              cudaFuncAttributeMaxDynamicSharedMemorySize,
                                              int(shape.shared_bytes));
    if (status != cudaSuccess) return status;
  }
  cudaLaunchConfig_t config = {};
  config.gridDim = shape.grid;
  config.blockDim = dim3(shape.threads);
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = static_cast<cudaStream_t>(stream);
  cudaLaunchAttribute attribute = {};
  if (shape.cluster > 1) {
    attribute.id = cudaLaunchAttributeClusterDimension;
    attribute.val.clusterDim.x = shape.cluster;
    attribute.val.clusterDim.y = 1;
    attribute.val.clusterDim.z = 1;
    config.attrs = &attribute;
    config.numAttrs = 1;
  }
  return cudaLaunchKernelEx(&config, kernel, args);
}

}  // namespace fp
#endif  // FP_EMULATION
