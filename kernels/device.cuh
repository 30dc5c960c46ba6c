// The primitives that kernels are written against.
//
// Everything that a kernel asks of the device beyond plain C++ is here, under one name
// for nvcc and for the emulation: checked pointers to global and shared memory, barriers
// of groups and clusters, shuffles and votes, atomics, and the launch itself. A kernel
// that needs more asks first whether it should.
#pragma once

#include "fp_kernels.h"

#ifdef FP_EMULATION
#include "emulation/emulation.h"
#else
// Where a rendezvous stands in the source: the emulation alone wants to know.
#define FP_SITE_PARAMETERS
#define FP_SITE
#define FP_AND_SITE

#include <cooperative_groups.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

namespace fp {

/// Memory of the device; plain pointers here, checked ones in the emulation.
template <class T> using Global = T *;
/// Shared memory of a block.
template <class T> using Shared = T *;

template <class T> __device__ __forceinline__ Global<T> global(const void *address) {
  return static_cast<T *>(const_cast<void *>(address));
}

/// Cuts the dynamic shared memory of a block into arrays. The same calls in the same
/// order give the same addresses in every block of a cluster.
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

__device__ __forceinline__ void block_sync() { __syncthreads(); }

/// Waits for `threads` threads of the block; ids 1 to 15.
__device__ __forceinline__ void barrier_sync(unsigned id, unsigned threads) {
  asm volatile("barrier.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

__device__ __forceinline__ void warp_sync() { __syncwarp(); }

template <class T> __device__ __forceinline__ T shuffle_xor(T value, unsigned mask) {
  return __shfl_xor_sync(0xffffffffu, value, mask);
}

/// The value of the lane `distance` below; the own one where there is none.
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

// Whether this compilation is for devices that run clusters; kernels that use them are
// empty elsewhere and never launched there.
#if __CUDA_ARCH__ >= 900
#define FP_HAS_CLUSTERS 1
__device__ __forceinline__ unsigned cluster_rank() {
  return cooperative_groups::this_cluster().block_rank();
}
__device__ __forceinline__ void cluster_sync() { cooperative_groups::this_cluster().sync(); }
/// The same array in another block of the cluster.
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
__device__ __forceinline__ float bits_to_float(unsigned bits) { return __uint_as_float(bits); }
__device__ __forceinline__ unsigned float_to_bits(float value) { return __float_as_uint(value); }
__device__ __forceinline__ double bits_to_double(unsigned long long bits) {
  return __longlong_as_double(static_cast<long long>(bits));
}
__device__ __forceinline__ unsigned long long double_to_bits(double value) {
  return static_cast<unsigned long long>(__double_as_longlong(value));
}

/// Whether the current device runs clusters.
inline bool device_has_clusters() {
  int device = 0, major = 0;
  return cudaGetDevice(&device) == cudaSuccess &&
         cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) == cudaSuccess &&
         major >= 9;
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
