// Declarations that the parts of the emulated CUDA libraries share.
//
// libcuda.so consists of driver.cc, state.cc, order.cc, streams.cc and modules.cc. libcublas.so
// (blas.cc) and libcurand.so (rand.cc) query it about memory and order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

extern "C" {

/// A range of device memory that work reads or writes.
struct FpEmulatedAccess {
  uintptr_t begin, end;
  int is_write;
};

/// Kinds of work that are counted.
enum FpEmulatedWork {
  FP_EMULATED_LAUNCH,
  FP_EMULATED_GEMM,
  FP_EMULATED_HOST_TO_DEVICE,
  FP_EMULATED_DEVICE_TO_HOST,
  FP_EMULATED_DEVICE_TO_DEVICE,
  FP_EMULATED_MEMSET,
};

/// Numbers of driver operations in this process since the last reset.
struct FpEmulatedCounters {
  uint64_t launches;  // kernels
  uint64_t gemms;     // matrix products by cuBLAS
  uint64_t host_to_device_copies, host_to_device_bytes;
  uint64_t device_to_host_copies, device_to_host_bytes;
  uint64_t device_to_device_copies, device_to_device_bytes;
  uint64_t memsets, memset_bytes;
  uint64_t allocations, allocated_bytes, frees;
  uint64_t synchronisations;  // of a stream, an event or the whole context
};

/// Finds the allocation that holds `address`, or that ends at it; returns 0 if there is none.
int fp_emulated_driver_find(uintptr_t address, uintptr_t *begin, uintptr_t *end);
/// Enqueues work on a stream: checks that its memory is allocated and that earlier work of other
/// streams on the same memory is ordered before it. Returns 0, or a CUresult.
int fp_emulated_driver_enqueue(void *stream, int work, const char *what,
                               const FpEmulatedAccess *accesses, size_t count);
/// Reason of the last refusal on this thread; empty if there was none.
const char *fp_emulated_driver_fault(void);
/// Reads the counters and resets them to zero.
void fp_emulated_counters_take(FpEmulatedCounters *counters);
/// Changes the simulated device, as the variable FINEPRUNER_EMULATED_<NAME> does: see state.cc.
/// Returns 0, or 1 for an unknown name or a value that is not a number.
int fp_emulated_driver_set(const char *name, const char *value);

}  // extern "C"

namespace fp::driver {

// Values of CUresult.
enum Status {
  kSuccess = 0,
  kInvalidValue = 1,
  kOutOfMemory = 2,
  kNoDevice = 100,
  kInvalidDevice = 101,
  kInvalidHandle = 400,
  kIllegalState = 401,
  kNotFound = 500,
  kNotReady = 600,
  kIllegalAddress = 700,
  kNotSupported = 801,
};

using Address = unsigned long long;
/// For each stream, by number, how much of its work is complete or ordered before.
using Clock = std::vector<uint64_t>;

/// The simulated device.
struct Settings {
  int driver_version;  // in the form of cuDriverGetVersion
  int num_devices;
  int capability_major, capability_minor;
  int num_multiprocessors;
  uint64_t total_bytes;
};
Settings settings();

/// Prints to stderr what was refused and why, stores it for fp_emulated_driver_fault, and returns
/// `status`.
__attribute__((format(printf, 2, 3))) int refuse(Status status, const char *format, ...);

/// The number of the stream that a handle refers to on this thread; -1 if it is not a stream.
int stream_number(void *stream);
std::string stream_name(int number);

int allocate(Address *address, size_t bytes, const char *call);
int release(Address address, const char *call);
/// Total bytes of all allocations.
uint64_t allocated_bytes();

void count_synchronisation();
void count_work(FpEmulatedWork work, uint64_t bytes);

// Order of work. Host work after a synchronisation counts as ordered for all threads;
// synchronisation between threads is not tracked.
int create_stream(void *handle, bool is_blocking);
bool destroy_stream(void *handle);
/// Adds accesses to a stream's timeline, or refuses them if nothing orders them.
int access(int number, const char *what, const FpEmulatedAccess *accesses, size_t count);
/// Removes the recorded accesses of an allocation that is freed.
void forget(uintptr_t allocation);
Clock clock_of_stream(int number);
void wait_on_stream(int number, const Clock &clock);
void wait_on_host(const Clock &clock);
void wait_on_host_for_all();

}  // namespace fp::driver
