// A CUDA driver whose device is the host, complete enough for cudarc and the tensor library.
//
// With it, and with launchers that run in the emulation, the host's side of the CUDA code
// (wrappers, scoring, the model, tests, benchmarks and their runner) runs without a GPU. Every
// call completes before it returns; work that a device could run in another order is found by
// order.cc. It proves nothing about a device's speed: times are the host's. Missing functions are
// missing on purpose: calling one is refused by name. So are graphs and kernels that come as PTX.
// The driver refuses what a device refuses, and also copies of no bytes, which a device accepts
// but no caller should request.

#include <cstring>

#include "driver.h"

using namespace fp::driver;

namespace {

// Values of CUdevice_attribute.
enum Attribute {
  kMaxThreadsPerBlock = 1,
  kWarpSize = 10,
  kMultiprocessors = 16,
  kCacheBytes = 38,
  kMajor = 75,
  kMinor = 76,
  kSharedBytesPerBlock = 97,
  kHasMemoryPools = 115,
};

constexpr int kDeviceMemory = 2;  // CU_MEMORYTYPE_DEVICE

/// Layout of CUDA_MEMCPY2D.
struct Copy2D {
  size_t source_x, source_y;
  int source_type;
  const void *source_host;
  Address source;
  void *source_array;
  size_t source_pitch, target_x, target_y;
  int target_type;
  void *target_host;
  Address target;
  void *target_array;
  size_t target_pitch, width, height;
};

int current_context = 0;  // its address is the handle
thread_local void *context_of_thread = nullptr;

void *pointer(Address address) { return reinterpret_cast<void *>(address); }

uint64_t bytes_of(const FpEmulatedAccess &access) { return access.end - access.begin; }

/// Enqueues a copy or memset on its stream; the caller then moves the bytes.
int enqueue(void *stream, FpEmulatedWork work, const char *what, Address address, size_t bytes,
            bool is_write) {
  const FpEmulatedAccess access = {uintptr_t(address), uintptr_t(address) + bytes, is_write};
  return fp_emulated_driver_enqueue(stream, work, what, &access, 1);
}

}  // namespace

extern "C" {

int fp_emulated_driver_enqueue(void *stream, int work, const char *what,
                               const FpEmulatedAccess *accesses, size_t count) {
  const int number = stream_number(stream);
  if (number < 0) return refuse(kInvalidHandle, "%s on a stream that doesn't exist", what);
  uint64_t bytes = 0;
  for (size_t i = 0; i < count; ++i) {
    const FpEmulatedAccess &access = accesses[i];
    if (access.begin >= access.end)
      return refuse(kInvalidValue, "%s of 0 bytes on %s", what, stream_name(number).c_str());
    uintptr_t begin, end;
    if (!fp_emulated_driver_find(access.begin, &begin, &end) || access.end > end)
      return refuse(kIllegalAddress, "%s of %llu bytes at %#llx, which are not allocated", what,
                    static_cast<unsigned long long>(bytes_of(access)),
                    static_cast<unsigned long long>(access.begin));
    bytes = bytes_of(access);
  }
  const int status = access(number, what, accesses, count);
  if (status == kSuccess) count_work(FpEmulatedWork(work), bytes);
  return status;
}

// Device.

int cuInit(unsigned) { return settings().num_devices == 0 ? kNoDevice : kSuccess; }
int cuDriverGetVersion(int *version) {
  *version = settings().driver_version;
  return kSuccess;
}
int cuDeviceGetCount(int *count) {
  *count = settings().num_devices;
  return kSuccess;
}
int cuDeviceGet(int *device, int ordinal) {
  *device = ordinal;
  return ordinal >= 0 && ordinal < settings().num_devices ? kSuccess : kInvalidDevice;
}
int cuDeviceGetName(char *name, int length, int) {
  std::strncpy(name, "emulated on the host", size_t(length));
  return kSuccess;
}
int cuDeviceTotalMem_v2(size_t *bytes, int) {
  *bytes = settings().total_bytes;
  return kSuccess;
}
int cuDeviceGetAttribute(int *value, int attribute, int) {
  const Settings now = settings();
  switch (attribute) {
    case kMaxThreadsPerBlock: *value = 1024; break;
    case kWarpSize: *value = 32; break;
    case kMultiprocessors: *value = now.num_multiprocessors; break;
    case kCacheBytes: *value = 1 << 20; break;
    case kMajor: *value = now.capability_major; break;
    case kMinor: *value = now.capability_minor; break;
    case kSharedBytesPerBlock: *value = 227 << 10; break;
    case kHasMemoryPools: *value = 1; break;
    default: *value = 0;
  }
  return kSuccess;
}
int cuDevicePrimaryCtxRetain(void **context, int) {
  *context = &current_context;
  return kSuccess;
}
int cuDevicePrimaryCtxRelease_v2(int) { return kSuccess; }
int cuCtxGetCurrent(void **context) {
  *context = context_of_thread;
  return kSuccess;
}
int cuCtxSetCurrent(void *context) {
  context_of_thread = context;
  return kSuccess;
}
int cuCtxSynchronize() {
  wait_on_host_for_all();
  count_synchronisation();
  return kSuccess;
}

// Memory.

int cuMemGetInfo_v2(size_t *free_bytes, size_t *total_bytes) {
  *total_bytes = settings().total_bytes;
  const uint64_t used = allocated_bytes();
  *free_bytes = used < *total_bytes ? *total_bytes - used : 0;
  return kSuccess;
}
int cuMemAlloc_v2(Address *address, size_t bytes) {
  return allocate(address, bytes, "cuMemAlloc");
}
int cuMemAllocAsync(Address *address, size_t bytes, void *stream) {
  const int number = stream_number(stream);
  if (number < 0) return refuse(kInvalidHandle, "cuMemAllocAsync on a stream that doesn't exist");
  const int status = allocate(address, bytes, "cuMemAllocAsync");
  if (status != kSuccess) return status;
  const FpEmulatedAccess whole = {uintptr_t(*address), uintptr_t(*address) + bytes, 1};
  return access(number, "the allocation", &whole, 1);
}
int cuMemFree_v2(Address address) {
  // Freeing waits for the device.
  wait_on_host_for_all();
  forget(uintptr_t(address));
  return release(address, "cuMemFree");
}
int cuMemFreeAsync(Address address, void *stream) {
  const int number = stream_number(stream);
  if (number < 0) return refuse(kInvalidHandle, "cuMemFreeAsync on a stream that doesn't exist");
  FpEmulatedAccess whole = {0, 0, 1};
  if (fp_emulated_driver_find(uintptr_t(address), &whole.begin, &whole.end)) {
    const int status = access(number, "the release of memory", &whole, 1);
    if (status != kSuccess) return status;
  }
  forget(uintptr_t(address));
  return release(address, "cuMemFreeAsync");
}
int cuMemsetD8Async(Address address, unsigned char value, size_t bytes, void *stream) {
  const int status = enqueue(stream, FP_EMULATED_MEMSET, "a memset", address, bytes, true);
  if (status == kSuccess) std::memset(pointer(address), value, bytes);
  return status;
}
int cuMemcpyHtoDAsync_v2(Address target, const void *source, size_t bytes, void *stream) {
  const int status = enqueue(stream, FP_EMULATED_HOST_TO_DEVICE, "a copy from host to device",
                             target, bytes, true);
  if (status == kSuccess) std::memcpy(pointer(target), source, bytes);
  return status;
}
int cuMemcpyDtoHAsync_v2(void *target, Address source, size_t bytes, void *stream) {
  const int status = enqueue(stream, FP_EMULATED_DEVICE_TO_HOST, "a copy from device to host",
                             source, bytes, false);
  if (status != kSuccess) return status;
  std::memcpy(target, pointer(source), bytes);
  // A copy to pageable memory returns when it is complete.
  wait_on_host(clock_of_stream(stream_number(stream)));
  return status;
}
int cuMemcpy2DAsync_v2(const Copy2D *it, void *stream) {
  if (it->source_type != kDeviceMemory || it->target_type != kDeviceMemory || it->source_y ||
      it->target_y)
    return refuse(kNotSupported, "cuMemcpy2DAsync of other than rows on the device");
  if (it->width == 0 || it->height == 0)
    return refuse(kInvalidValue, "cuMemcpy2DAsync of %zu rows of %zu bytes", it->height, it->width);
  if (it->source_pitch < it->width || it->target_pitch < it->width)
    return refuse(kInvalidValue, "cuMemcpy2DAsync with a pitch below the width");
  const Address source = it->source + it->source_x, target = it->target + it->target_x;
  const size_t rows = it->height - 1;
  const FpEmulatedAccess both[] = {
      {uintptr_t(source), uintptr_t(source + rows * it->source_pitch + it->width), 0},
      {uintptr_t(target), uintptr_t(target + rows * it->target_pitch + it->width), 1},
  };
  const int status = fp_emulated_driver_enqueue(stream, FP_EMULATED_DEVICE_TO_DEVICE,
                                                "a copy of rows on the device", both, 2);
  if (status != kSuccess) return status;
  for (size_t row = 0; row < it->height; ++row)
    std::memcpy(pointer(target + row * it->target_pitch), pointer(source + row * it->source_pitch),
                it->width);
  return status;
}
int cuMemcpyDtoDAsync_v2(Address target, Address source, size_t bytes, void *stream) {
  const FpEmulatedAccess both[] = {
      {uintptr_t(source), uintptr_t(source) + bytes, 0},
      {uintptr_t(target), uintptr_t(target) + bytes, 1},
  };
  const int status = fp_emulated_driver_enqueue(stream, FP_EMULATED_DEVICE_TO_DEVICE,
                                                "a copy on the device", both, 2);
  if (status == kSuccess) std::memmove(pointer(target), pointer(source), bytes);
  return status;
}

// Errors.

int cuGetErrorName(int error, const char **name) {
  switch (error) {
    case kSuccess: *name = "CUDA_SUCCESS"; break;
    case kInvalidValue: *name = "CUDA_ERROR_INVALID_VALUE"; break;
    case kOutOfMemory: *name = "CUDA_ERROR_OUT_OF_MEMORY"; break;
    case kNoDevice: *name = "CUDA_ERROR_NO_DEVICE"; break;
    case kInvalidDevice: *name = "CUDA_ERROR_INVALID_DEVICE"; break;
    case kInvalidHandle: *name = "CUDA_ERROR_INVALID_HANDLE"; break;
    case kIllegalState: *name = "CUDA_ERROR_ILLEGAL_STATE"; break;
    case kNotFound: *name = "CUDA_ERROR_NOT_FOUND"; break;
    case kNotReady: *name = "CUDA_ERROR_NOT_READY"; break;
    case kIllegalAddress: *name = "CUDA_ERROR_ILLEGAL_ADDRESS"; break;
    case kNotSupported: *name = "CUDA_ERROR_NOT_SUPPORTED"; break;
    default: *name = "an error of the emulated driver";
  }
  return kSuccess;
}
int cuGetErrorString(int, const char **text) {
  *text = *fp_emulated_driver_fault() ? fp_emulated_driver_fault()
                                      : "refused by the emulated driver";
  return kSuccess;
}

}  // extern "C"
