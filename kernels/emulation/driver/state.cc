// State of the emulated driver: the simulated device, memory, counters, refusals.
//
// Environment variables simulate a device that can't be used; so does fp_emulated_driver_set with
// the last part of a variable's name in lower case:
//   FINEPRUNER_EMULATED_DRIVER_VERSION   13000 for CUDA 13.0
//   FINEPRUNER_EMULATED_DEVICES          number of GPUs
//   FINEPRUNER_EMULATED_CAPABILITY       10·major + minor: 75 for RTX 20
//   FINEPRUNER_EMULATED_MEMORY           bytes of GPU memory
//   FINEPRUNER_EMULATED_MULTIPROCESSORS  132 for an H100
// To simulate a machine without a driver, cuBLAS or cuRAND, remove that library from the folder.

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

#include "driver.h"

namespace fp::driver {

namespace {

constexpr int kPoison = 0xcb;
constexpr size_t kAlignment = 256;

struct Number {
  const char *name, *variable;
  uint64_t value;
};

struct State {
  std::mutex mutex;
  Number numbers[5] = {
      {"driver_version", "FINEPRUNER_EMULATED_DRIVER_VERSION", 13000},
      {"devices", "FINEPRUNER_EMULATED_DEVICES", 1},
      {"capability", "FINEPRUNER_EMULATED_CAPABILITY", 90},
      {"memory", "FINEPRUNER_EMULATED_MEMORY", uint64_t(16) << 30},
      {"multiprocessors", "FINEPRUNER_EMULATED_MULTIPROCESSORS", 132},
  };
  std::map<Address, size_t> allocations;
  uint64_t allocated = 0;
  FpEmulatedCounters counters = {};

  State() {
    for (Number &number : numbers) {
      const char *value = std::getenv(number.variable);
      if (value && !parse(value, &number.value)) {
        std::fprintf(stderr, "emulated driver: %s is `%s`, which is no number\n", number.variable,
                     value);
        std::abort();
      }
    }
  }

  static bool parse(const char *text, uint64_t *value) {
    char *end = nullptr;
    errno = 0;
    const unsigned long long parsed = std::strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || *text == '-') return false;
    *value = parsed;
    return true;
  }
};

// Never destroyed: buffers of other threads may outlive main.
State &state() {
  static State *const only = new State();
  return *only;
}

thread_local std::string last_fault;

}  // namespace

Settings settings() {
  State &it = state();
  const std::lock_guard<std::mutex> lock(it.mutex);
  const Number *numbers = it.numbers;
  return {int(numbers[0].value),      int(numbers[1].value), int(numbers[2].value / 10),
          int(numbers[2].value % 10), int(numbers[4].value), numbers[3].value};
}

int refuse(Status status, const char *format, ...) {
  char text[1024];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  last_fault = text;
  std::fprintf(stderr, "emulated driver: %s\n", text);
  return status;
}

int allocate(Address *address, size_t bytes, const char *call) {
  if (bytes == 0) return refuse(kInvalidValue, "%s of 0 bytes", call);
  const uint64_t total = settings().total_bytes;
  State &it = state();
  {
    const std::lock_guard<std::mutex> lock(it.mutex);
    if (bytes > total || it.allocated > total - bytes) {
      // Programs allocate to test whether memory suffices: no message on stderr.
      last_fault = "out of memory";
      return kOutOfMemory;
    }
    it.allocated += bytes;
  }
  void *memory = std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
  const std::lock_guard<std::mutex> lock(it.mutex);
  if (!memory) {
    it.allocated -= bytes;
    return kOutOfMemory;
  }
  std::memset(memory, kPoison, bytes);
  *address = reinterpret_cast<Address>(memory);
  it.allocations[*address] = bytes;
  it.counters.allocations++;
  it.counters.allocated_bytes += bytes;
  return kSuccess;
}

int release(Address address, const char *call) {
  State &it = state();
  {
    const std::lock_guard<std::mutex> lock(it.mutex);
    const auto found = it.allocations.find(address);
    if (found != it.allocations.end()) {
      it.allocated -= found->second;
      it.counters.frees++;
      it.allocations.erase(found);
      std::free(reinterpret_cast<void *>(address));
      return kSuccess;
    }
  }
  return refuse(kInvalidValue, "%s of %#llx, which is not allocated", call, address);
}

uint64_t allocated_bytes() {
  State &it = state();
  const std::lock_guard<std::mutex> lock(it.mutex);
  return it.allocated;
}

void count_synchronisation() {
  State &it = state();
  const std::lock_guard<std::mutex> lock(it.mutex);
  it.counters.synchronisations++;
}

void count_work(FpEmulatedWork work, uint64_t bytes) {
  State &it = state();
  const std::lock_guard<std::mutex> lock(it.mutex);
  FpEmulatedCounters &counters = it.counters;
  const auto count = [&](uint64_t &calls, uint64_t *total) {
    calls++;
    if (total) *total += bytes;
  };
  switch (work) {
    case FP_EMULATED_LAUNCH: return count(counters.launches, nullptr);
    case FP_EMULATED_GEMM: return count(counters.gemms, nullptr);
    case FP_EMULATED_HOST_TO_DEVICE:
      return count(counters.host_to_device_copies, &counters.host_to_device_bytes);
    case FP_EMULATED_DEVICE_TO_HOST:
      return count(counters.device_to_host_copies, &counters.device_to_host_bytes);
    case FP_EMULATED_DEVICE_TO_DEVICE:
      return count(counters.device_to_device_copies, &counters.device_to_device_bytes);
    case FP_EMULATED_MEMSET: return count(counters.memsets, &counters.memset_bytes);
  }
}

}  // namespace fp::driver

using namespace fp::driver;

extern "C" {

int fp_emulated_driver_find(uintptr_t address, uintptr_t *begin, uintptr_t *end) {
  State &it = state();
  const std::lock_guard<std::mutex> lock(it.mutex);
  auto next = it.allocations.upper_bound(address);
  if (next == it.allocations.begin()) return 0;
  --next;
  *begin = next->first;
  *end = next->first + next->second;
  return address <= *end;
}

const char *fp_emulated_driver_fault(void) { return last_fault.c_str(); }

void fp_emulated_counters_take(FpEmulatedCounters *counters) {
  State &it = state();
  const std::lock_guard<std::mutex> lock(it.mutex);
  *counters = it.counters;
  it.counters = {};
}

int fp_emulated_driver_set(const char *name, const char *value) {
  State &it = state();
  const std::lock_guard<std::mutex> lock(it.mutex);
  for (Number &number : it.numbers)
    if (std::strcmp(number.name, name) == 0) return State::parse(value, &number.value) ? 0 : 1;
  return 1;
}

}  // extern "C"
