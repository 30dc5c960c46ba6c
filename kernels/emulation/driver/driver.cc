// A CUDA driver whose device is the host: enough of it for cudarc.
//
// With it, and with launchers that run in the emulation, the host's side of the CUDA code
// (wrappers, scoring, tests, benchmarks and their runner) runs without a GPU. Every call
// completes before it returns. It proves nothing about a device, and times are the host's.
// What is not here is missing on purpose: a call of it says so by name. Graphs are refused.

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

namespace {

// Of CUresult and CUdevice_attribute.
constexpr int kSuccess = 0, kInvalidValue = 1, kOutOfMemory = 2, kNotReady = 600, kNotSupported = 801;
constexpr int kWarpSize = 10, kCacheBytes = 38, kMajor = 75, kMinor = 76;
constexpr int kPoison = 0xcb;
constexpr size_t kAlignment = 256;

using Address = unsigned long long;
using Clock = std::chrono::steady_clock;

std::mutex mutex;
std::map<Address, size_t> allocations;
int current_context = 0;  // its address is the handle
int only_stream = 0;

struct Event {
  Clock::time_point recorded;
};

/// Whether [address, address + bytes) lies in one allocation.
bool is_allocated(Address address, size_t bytes) {
  const std::lock_guard<std::mutex> lock(mutex);
  auto next = allocations.upper_bound(address);
  if (next == allocations.begin()) return false;
  --next;
  return address + bytes <= next->first + next->second;
}

void *pointer(Address address) { return reinterpret_cast<void *>(address); }

}  // namespace

extern "C" {

/// For the emulation: the allocation that holds `address`.
int fp_emulated_driver_find(uintptr_t address, uintptr_t *begin, uintptr_t *end) {
  const std::lock_guard<std::mutex> lock(mutex);
  auto next = allocations.upper_bound(address);
  if (next == allocations.begin()) return 0;
  --next;
  *begin = next->first;
  *end = next->first + next->second;
  return address <= *end;
}

int cuInit(unsigned) { return kSuccess; }
int cuDriverGetVersion(int *version) {
  *version = 13000;
  return kSuccess;
}
int cuDeviceGetCount(int *count) {
  *count = 1;
  return kSuccess;
}
int cuDeviceGet(int *device, int ordinal) {
  *device = 0;
  return ordinal == 0 ? kSuccess : 101;  // CUDA_ERROR_INVALID_DEVICE
}
int cuDeviceGetName(char *name, int length, int) {
  std::strncpy(name, "emulated on the host", size_t(length));
  return kSuccess;
}
int cuDeviceGetAttribute(int *value, int attribute, int) {
  *value = attribute == kMajor        ? 9
           : attribute == kMinor      ? 0
           : attribute == kWarpSize   ? 32
           : attribute == kCacheBytes ? 1 << 20
                                      : 0;
  return kSuccess;
}
int cuDevicePrimaryCtxRetain(void **context, int) {
  *context = &current_context;
  return kSuccess;
}
int cuDevicePrimaryCtxRelease_v2(int) { return kSuccess; }
int cuCtxGetCurrent(void **context) {
  *context = &current_context;
  return kSuccess;
}
int cuCtxSetCurrent(void *) { return kSuccess; }
int cuCtxSynchronize() { return kSuccess; }

int cuStreamCreate(void **stream, unsigned) {
  *stream = &only_stream;
  return kSuccess;
}
int cuStreamDestroy_v2(void *) { return kSuccess; }
int cuStreamSynchronize(void *) { return kSuccess; }
int cuStreamWaitEvent(void *, void *, unsigned) { return kSuccess; }
int cuStreamBeginCapture_v2(void *, int) { return kNotSupported; }
int cuStreamEndCapture(void *, void **) { return kNotSupported; }

int cuMemAlloc_v2(Address *address, size_t bytes) {
  void *memory = std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
  if (!memory) return kOutOfMemory;
  std::memset(memory, kPoison, bytes);
  *address = reinterpret_cast<Address>(memory);
  const std::lock_guard<std::mutex> lock(mutex);
  allocations[*address] = bytes;
  return kSuccess;
}
int cuMemFree_v2(Address address) {
  {
    const std::lock_guard<std::mutex> lock(mutex);
    if (allocations.erase(address) == 0) return kInvalidValue;
  }
  std::free(pointer(address));
  return kSuccess;
}
int cuMemsetD8Async(Address address, unsigned char value, size_t bytes, void *) {
  if (!is_allocated(address, bytes)) return kInvalidValue;
  std::memset(pointer(address), value, bytes);
  return kSuccess;
}
int cuMemcpyHtoDAsync_v2(Address target, const void *source, size_t bytes, void *) {
  if (!is_allocated(target, bytes)) return kInvalidValue;
  std::memcpy(pointer(target), source, bytes);
  return kSuccess;
}
int cuMemcpyDtoHAsync_v2(void *target, Address source, size_t bytes, void *) {
  if (!is_allocated(source, bytes)) return kInvalidValue;
  std::memcpy(target, pointer(source), bytes);
  return kSuccess;
}
int cuMemcpyDtoDAsync_v2(Address target, Address source, size_t bytes, void *) {
  if (!is_allocated(target, bytes) || !is_allocated(source, bytes)) return kInvalidValue;
  std::memmove(pointer(target), pointer(source), bytes);
  return kSuccess;
}

int cuEventCreate(void **event, unsigned) {
  *event = new Event();
  return kSuccess;
}
int cuEventDestroy_v2(void *event) {
  delete static_cast<Event *>(event);
  return kSuccess;
}
int cuEventRecord(void *event, void *) {
  static_cast<Event *>(event)->recorded = Clock::now();
  return kSuccess;
}
int cuEventSynchronize(void *) { return kSuccess; }
int cuEventQuery(void *) { return kSuccess; }
int cuEventElapsedTime_v2(float *milliseconds, void *start, void *end) {
  const auto taken = static_cast<Event *>(end)->recorded - static_cast<Event *>(start)->recorded;
  *milliseconds = std::chrono::duration<float, std::milli>(taken).count();
  return *milliseconds < 0 ? kNotReady : kSuccess;
}
int cuEventElapsedTime(float *milliseconds, void *start, void *end) {
  return cuEventElapsedTime_v2(milliseconds, start, end);
}

int cuGetErrorName(int error, const char **name) {
  *name = error == kNotSupported ? "CUDA_ERROR_NOT_SUPPORTED" : "an error of the emulated driver";
  return kSuccess;
}
int cuGetErrorString(int, const char **text) {
  *text = "refused by the emulated driver";
  return kSuccess;
}

}  // extern "C"
