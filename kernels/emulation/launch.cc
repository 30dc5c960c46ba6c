// Launches in the emulation: the memory that they may access, and the report to the emulated
// driver of `driver/` if this process has loaded it.

#include "machine.h"

#include <dlfcn.h>

#include "../fp_kernels.h"

namespace fp::emulation {

namespace {

/// A function of the emulated driver of `driver/`, if this process has loaded it.
void *in_driver(const char *function) {
  void *library = dlopen("libcuda.so", RTLD_LAZY | RTLD_NOLOAD);
  if (!library) return nullptr;
  void *address = dlsym(library, function);
  dlclose(library);  // stays loaded by its other user
  return address;
}

/// The argument type of the kernel, taken from the name of the launching function.
std::string kernel_name(const char *pretty) {
  const std::string text = pretty;
  const size_t begin = text.find("Args = "), end = text.find_first_of(";]", begin);
  return begin == std::string::npos ? text : text.substr(begin + 7, end - begin - 7);
}

/// Reports the launch's memory accesses to the emulated driver, which refuses accesses that no
/// stream order covers.
int report_to_driver(const Launched &launched) {
  struct Access {  // FpEmulatedAccess
    uintptr_t begin, end;
    int is_write;
  };
  using Enqueue = int (*)(void *stream, int work, const char *what, const Access *, size_t count);
  const auto enqueue = reinterpret_cast<Enqueue>(in_driver("fp_emulated_driver_enqueue"));
  if (!enqueue) return FP_OK;
  std::vector<Access> accesses;
  for (const Buffer &buffer : machine().driver_buffers) {
    if (buffer.reads.end) accesses.push_back({buffer.reads.begin, buffer.reads.end, 0});
    if (buffer.writes.end) accesses.push_back({buffer.writes.begin, buffer.writes.end, 1});
  }
  const std::string name = "the launch with " + kernel_name(launched.name);
  constexpr int kLaunch = 0;  // FP_EMULATED_LAUNCH
  if (enqueue(launched.stream, kLaunch, name.c_str(), accesses.data(), accesses.size()) == 0)
    return FP_OK;
  using Fault = const char *(*)();
  const auto driver_fault = reinterpret_cast<Fault>(in_driver("fp_emulated_driver_fault"));
  machine().fault = driver_fault ? driver_fault() : "refused by the emulated driver";
  machine().has_fault = true;
  return FP_EMULATION_FAULT;
}

}  // namespace

const Buffer *find_buffer(uintptr_t address) {
  if (address == 0) return nullptr;  // unused by the kernel; querying the driver is slow
  Machine &it = machine();
  if (it.last_found && address >= it.last_found->begin && address < it.last_found->end)
    return it.last_found;
  const auto is_in = [&](const Buffer &buffer) {
    return address >= buffer.begin && address <= buffer.end;
  };
  for (const Buffer &buffer : it.buffers)
    if (is_in(buffer)) return it.last_found = &buffer;
  for (const Buffer &buffer : it.driver_buffers)
    if (is_in(buffer)) return it.last_found = &buffer;
  Buffer found = {0, 0, true, {}, {}};
  using Find = int (*)(uintptr_t address, uintptr_t *begin, uintptr_t *end);
  const auto find = reinterpret_cast<Find>(in_driver("fp_emulated_driver_find"));
  if (!find || !find(address, &found.begin, &found.end)) return nullptr;
  it.driver_buffers.push_back(found);
  return it.last_found = &it.driver_buffers.back();
}

int run(const dim3 &grid, unsigned threads, size_t shared_bytes, unsigned cluster,
        void (*body)(const void *), const void *argument, const Launched &launched) {
  machine().num_launches++;
  machine().driver_buffers.clear();
  machine().last_found = nullptr;
  machine().has_fault = false;
  machine().fault.clear();
  if (threads == 0 || threads > 1024 || threads % kWarp != 0 || cluster == 0 || cluster > 8 ||
      grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x % cluster != 0 || grid.y > 65535 ||
      grid.z > 65535 || shared_bytes > (227 << 10)) {
    machine().fault = "impossible launch shape";
    machine().has_fault = true;
    return FP_EMULATION_FAULT;
  }
  machine().threads = threads;
  machine().body = body;
  machine().argument = argument;
  while (machine().fibers.size() < size_t(threads) * cluster)
    machine().fibers.push_back(std::make_unique<Fiber>());
  for (auto &fiber : machine().fibers) fiber->state = State::kDone;
  machine().blocks.resize(cluster);
  gridDim = grid;
  blockDim = dim3(threads);
  for (unsigned z = 0; z < grid.z; ++z)
    for (unsigned y = 0; y < grid.y; ++y)
      for (unsigned x = 0; x < grid.x; x += cluster) {
        for (unsigned rank = 0; rank < cluster; ++rank)
          prepare_block(machine().blocks[rank], dim3(x + rank, y, z), shared_bytes);
        if (run_cluster()) continue;
        // The fibers are suspended inside the kernel: restart them at the next launch.
        for (auto &fiber : machine().fibers) fiber->is_started = false;
        machine().blocks.clear();
        machine().cluster = Rendezvous();
        return FP_EMULATION_FAULT;
      }
  return report_to_driver(launched);
}

}  // namespace fp::emulation

using fp::emulation::machine;

void fp_emulation_register(const void *address, size_t bytes, int is_writable) {
  const auto begin = reinterpret_cast<uintptr_t>(address);
  machine().last_found = nullptr;
  machine().buffers.push_back({begin, begin + bytes, is_writable != 0, {}, {}});
}

void fp_emulation_unregister_all(void) {
  machine().last_found = nullptr;
  machine().buffers.clear();
}

void fp_emulation_set_order(uint64_t seed) { machine().order_seed = seed; }

const char *fp_emulation_fault(void) { return machine().fault.c_str(); }

uint64_t fp_emulation_num_launches(void) { return machine().num_launches; }
