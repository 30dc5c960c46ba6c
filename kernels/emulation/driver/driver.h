// What the parts of the emulated CUDA libraries share.
//
// libcuda.so is made of driver.cc, state.cc, order.cc, streams.cc and modules.cc;
// libcublas.so and libcurand.so, of blas.cc and rand.cc, ask it about memory and order.
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

/// What work is counted as.
enum FpEmulatedWork {
  FP_EMULATED_LAUNCH,
  FP_EMULATED_GEMM,
  FP_EMULATED_HOST_TO_DEVICE,
  FP_EMULATED_DEVICE_TO_HOST,
  FP_EMULATED_DEVICE_TO_DEVICE,
  FP_EMULATED_MEMSET,
};

/// What the process asked of the driver since the last reset.
struct FpEmulatedCounters {
  uint64_t launches;  // of kernels
  uint64_t gemms;     // matrix products by cuBLAS
  uint64_t host_to_device_copies, host_to_device_bytes;
  uint64_t device_to_host_copies, device_to_host_bytes;
  uint64_t device_to_device_copies, device_to_device_bytes;
  uint64_t memsets, memset_bytes;
  uint64_t allocations, allocated_bytes, frees;
  uint64_t synchronisations;  // of a stream, an event or the whole context
};

/// The allocation that holds `address`, or that it is the end of; 0 if there is none.
int fp_emulated_driver_find(uintptr_t address, uintptr_t *begin, uintptr_t *end);
/// Puts work on a stream: checks that its memory is allocated and that earlier work of
/// other streams on the same memory is ordered before it. 0, or a CUresult.
int fp_emulated_driver_enqueue(void *stream, int work, const char *what,
                               const FpEmulatedAccess *accesses, size_t count);
/// What the last refusal of this thread was for; empty if there was none.
const char *fp_emulated_driver_fault(void);
/// Reads the counters, and sets them to zero.
void fp_emulated_counters_take(FpEmulatedCounters *counters);
/// Changes what is simulated, as the variable FINEPRUNER_EMULATED_<NAME> does: see state.cc.
/// 0, or 1 for an unknown name or a value that is no number.
int fp_emulated_driver_set(const char *name, const char *value);

}  // extern "C"

namespace fp::driver {

// Of CUresult.
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
/// How much of each stream's work is done or ordered before; by stream number.
using Clock = std::vector<uint64_t>;

/// The device that is simulated.
struct Settings {
  int driver_version;  // as cuDriverGetVersion gives it
  int num_devices;
  int capability_major, capability_minor;
  int num_multiprocessors;
  uint64_t total_bytes;
};
Settings settings();

/// Says on stderr what was refused and why, keeps it for fp_emulated_driver_fault, and
/// returns `status`.
__attribute__((format(printf, 2, 3))) int refuse(Status status, const char *format, ...);

/// The number of the stream that a handle stands for here and now; -1 if it is none.
int stream_number(void *stream);
std::string stream_name(int number);

int allocate(Address *address, size_t bytes, const char *call);
int release(Address address, const char *call);
/// Bytes of all allocations.
uint64_t allocated_bytes();

void count_synchronisation();
void count_work(FpEmulatedWork work, uint64_t bytes);

// Order. All of it: what is done on the host after a synchronisation, by whichever thread,
// counts as ordered; threads that only tell each other are not followed.
int create_stream(void *handle, bool is_blocking);
bool destroy_stream(void *handle);
/// Puts accesses on a stream's timeline, or refuses what nothing orders.
int access(int number, const char *what, const FpEmulatedAccess *accesses, size_t count);
/// Forgets who touched an allocation that is freed.
void forget(uintptr_t allocation);
Clock clock_of_stream(int number);
void wait_on_stream(int number, const Clock &clock);
void wait_on_host(const Clock &clock);
void wait_on_host_for_all();

}  // namespace fp::driver
