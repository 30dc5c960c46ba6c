// The scheduler behind emulation.h: fibers, rendezvous, faults.

#include "emulation.h"

#include <csetjmp>
#include <cstdarg>
#include <cstdio>
#include <deque>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include <dlfcn.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "../fp_kernels.h"

namespace fp::emulation {

namespace {

constexpr size_t kStackBytes = 64 << 10;
constexpr size_t kStackStagger = 832;
constexpr unsigned kWarp = 32;
constexpr unsigned kNumBarriers = 16;
constexpr unsigned char kPoison = 0xcb;

/// Where threads meet: a barrier of a block or cluster, or a warp's exchange.
struct Rendezvous {
  unsigned arrived = 0;
  unsigned expected = 0;
  const char *file = nullptr;
  int line = 0;
  std::vector<unsigned> waiting;  // fibers
};

struct WarpExchange {
  Rendezvous meeting;
  uint64_t given[kMaxWords][kWarp];
  uint64_t result[kMaxWords][kWarp];
};

enum class State { kReady, kWaiting, kDone };

struct Fiber {
  jmp_buf context;
  ucontext_t start;
  unsigned char *stack = nullptr;
  bool is_started = false;
  State state = State::kDone;
  const Rendezvous *waits_for = nullptr;
  unsigned block_in_cluster = 0, thread = 0;
};

/// A block that runs.
struct RunningBlock : Block {
  dim3 index;
  std::vector<unsigned char> memory, written;
  Rendezvous barriers[kNumBarriers];
  std::vector<WarpExchange> warps;
};

struct Machine {
  jmp_buf scheduler;
  std::vector<std::unique_ptr<Fiber>> fibers;
  std::vector<RunningBlock> blocks;  // of the running cluster
  Rendezvous cluster;
  unsigned threads = 0;
  unsigned current = 0;
  void (*body)(const void *) = nullptr;
  const void *argument = nullptr;
  std::vector<Buffer> buffers;
  std::deque<Buffer> driver_buffers;  // seen by the running launch; addresses are stable
  const Buffer *last_found = nullptr;
  std::string fault;
  bool has_fault = false;
  bool is_running = false;
  uint64_t order_seed = 0;
  uint64_t num_launches = 0;

  ~Machine() {
    for (auto &fiber : fibers)
      if (fiber->stack) munmap(fiber->stack, kStackBytes);
  }
};

// Through a pointer that needs no initialiser: reaching a thread-local object with one takes
// a call, and every access would make it.
thread_local Machine *machine_of_thread = nullptr;

Machine &make_machine() {
  thread_local Machine machine;
  machine_of_thread = &machine;
  return machine;
}

Machine &machine() { return machine_of_thread ? *machine_of_thread : make_machine(); }

Fiber &current_fiber() { return *machine().fibers[machine().current]; }

RunningBlock &current_block() { return machine().blocks[current_fiber().block_in_cluster]; }

/// Back to the scheduler, until it resumes this fiber.
void yield() {
  if (_setjmp(current_fiber().context) == 0) _longjmp(machine().scheduler, 1);
}

/// A fiber outlives its block: it runs the bodies of block after block.
void fiber_main() {
  for (;;) {
    machine().body(machine().argument);
    machine().blocks[current_fiber().block_in_cluster].has_exits = true;
    current_fiber().state = State::kDone;
    yield();
  }
}

void start_or_resume(Fiber &fiber) {
  if (_setjmp(machine().scheduler) != 0) return;
  if (fiber.is_started) _longjmp(fiber.context, 1);
  fiber.is_started = true;
  getcontext(&fiber.start);
  if (!fiber.stack) {
    void *stack = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stack == MAP_FAILED) {
      std::perror("a fiber's stack");
      std::abort();
    }
    fiber.stack = static_cast<unsigned char *>(stack);
  }
  fiber.start.uc_stack.ss_sp = fiber.stack;
  // Stacks that begin at the same place of their pages would fall on the same cache lines.
  fiber.start.uc_stack.ss_size = kStackBytes - machine().current % kWarp * kStackStagger;
  fiber.start.uc_link = nullptr;
  makecontext(&fiber.start, fiber_main, 0);
  setcontext(&fiber.start);
}

/// Waits until `expected` threads are here; false for the one that completes it.
void meet(Rendezvous &meeting, unsigned expected, const char *file, int line) {
  if (meeting.arrived == 0) {
    meeting.expected = expected;
    meeting.file = file;
    meeting.line = line;
  } else if (meeting.expected != expected || meeting.line != line ||
             (meeting.file != file && std::strcmp(meeting.file, file) != 0)) {
    fault("divergence: thread %u of block %u meets at %s:%d (of %u) those who wait at %s:%d "
          "(of %u)",
          current_fiber().thread, blockIdx.x, file, line, expected, meeting.file, meeting.line,
          meeting.expected);
  }
  meeting.arrived++;
  if (meeting.arrived < expected) {
    meeting.waiting.push_back(machine().current);
    current_fiber().state = State::kWaiting;
    current_fiber().waits_for = &meeting;
    yield();
    return;
  }
  for (unsigned fiber : meeting.waiting) machine().fibers[fiber]->state = State::kReady;
  meeting.waiting.clear();
  meeting.arrived = 0;
}

/// Nobody can go on: says how many wait where, and how many have left.
void report_deadlock() {
  unsigned waiting = 0;
  const Rendezvous *first = nullptr;
  for (auto &fiber : machine().fibers) {
    if (fiber->state != State::kWaiting) continue;
    waiting++;
    if (!first) first = fiber->waits_for;
  }
  char text[256];
  std::snprintf(text, sizeof text,
                "divergence: %u of %u threads wait at %s:%d; in all %u wait, the others left",
                first->arrived, first->expected, first->file, first->line, waiting);
  machine().fault = text;
  machine().has_fault = true;
}

uint64_t next_random(uint64_t &state) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return state >> 33;
}

/// The order in which threads get their turn: warp after warp, both shuffled where an order
/// was asked for.
std::vector<unsigned> turns(unsigned count) {
  std::vector<unsigned> warps(count / kWarp), order;
  std::iota(warps.begin(), warps.end(), 0u);
  uint64_t random = machine().order_seed;
  const auto shuffle = [&](std::vector<unsigned> &values) {
    if (machine().order_seed == 0) return;
    for (size_t i = values.size() - 1; i > 0; --i)
      std::swap(values[i], values[next_random(random) % (i + 1)]);
  };
  shuffle(warps);
  std::vector<unsigned> lanes(kWarp);
  std::iota(lanes.begin(), lanes.end(), 0u);
  for (unsigned warp : warps) {
    shuffle(lanes);
    for (unsigned lane : lanes) order.push_back(warp * kWarp + lane);
  }
  return order;
}

/// Gives each ready thread of a warp a turn; false if there was none.
bool run_warp(const unsigned *threads) {
  bool has_progress = false;
  for (unsigned lane = 0; lane < kWarp && !machine().has_fault; ++lane) {
    Fiber &fiber = *machine().fibers[threads[lane]];
    if (fiber.state != State::kReady) continue;
    machine().current = threads[lane];
    threadIdx.x = fiber.thread;
    running_block = &machine().blocks[fiber.block_in_cluster];
    blockIdx = machine().blocks[fiber.block_in_cluster].index;
    start_or_resume(fiber);
    has_progress = true;
  }
  return has_progress;
}

/// Runs every thread of the cluster to its end; false on a fault.
bool run_cluster() {
  const unsigned count = unsigned(machine().blocks.size()) * machine().threads;
  for (unsigned i = 0; i < count; ++i) {
    Fiber &fiber = *machine().fibers[i];
    fiber.state = State::kReady;
    fiber.block_in_cluster = i / machine().threads;
    fiber.thread = i % machine().threads;
  }
  const std::vector<unsigned> order = turns(count);
  for (bool has_progress = true; has_progress && !machine().has_fault;) {
    has_progress = false;
    // A warp goes on for as long as it can by itself: its stacks stay in the cache.
    for (unsigned first = 0; first < count && !machine().has_fault; first += kWarp)
      while (run_warp(&order[first])) has_progress = true;
  }
  if (machine().has_fault) return false;
  for (unsigned i = 0; i < count; ++i)
    if (machine().fibers[i]->state != State::kDone) {
      report_deadlock();
      return false;
    }
  return true;
}

void prepare_block(RunningBlock &block, const dim3 &index, size_t shared_bytes) {
  block.index = index;
  block.has_exits = false;
  block.memory.assign(shared_bytes, kPoison);
  block.written.assign(shared_bytes, 0);
  block.bytes = block.memory.data();
  block.shadow = block.written.data();
  block.size = shared_bytes;
  block.warps.resize(machine().threads / kWarp);
}

}  // namespace

void fault(const char *format, ...) {
  char text[512], place[640];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  std::snprintf(place, sizeof place, "block (%u, %u, %u), thread %u: %s", blockIdx.x, blockIdx.y,
                blockIdx.z, threadIdx.x, text);
  machine().fault = place;
  machine().has_fault = true;
  _longjmp(machine().scheduler, 1);
}

/// A function of the emulated driver of `driver/`, where this process has loaded it.
static void *in_driver(const char *function) {
  void *library = dlopen("libcuda.so", RTLD_LAZY | RTLD_NOLOAD);
  if (!library) return nullptr;
  void *address = dlsym(library, function);
  dlclose(library);  // as it was: loaded
  return address;
}

const Buffer *find_buffer(uintptr_t address) {
  if (address == 0) return nullptr;  // what a kernel doesn't use; asking the driver takes long
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

Block *block_of_rank(unsigned rank) {
  if (rank >= machine().blocks.size())
    fault("rank %u in a cluster of %zu", rank, machine().blocks.size());
  return &machine().blocks[rank];
}

void wait_at_barrier(unsigned id, unsigned count, const char *file, int line) {
  if (id >= kNumBarriers || count == 0 || count % kWarp != 0 || count > machine().threads)
    fault("barrier %u of %u threads", id, count);
  meet(current_block().barriers[id], count, file, line);
}

void wait_for_cluster(const char *file, int line) {
  meet(machine().cluster, unsigned(machine().blocks.size()) * machine().threads, file, line);
}

const uint64_t (*exchange_in_warp(const uint64_t *words, unsigned count, const char *file,
                                  int line))[32] {
  const unsigned thread = current_fiber().thread;
  WarpExchange &warp = current_block().warps[thread / kWarp];
  for (unsigned i = 0; i < count; ++i) warp.given[i][thread % kWarp] = words[i];
  if (warp.meeting.arrived + 1 == kWarp)
    std::memcpy(warp.result, warp.given, count * sizeof warp.given[0]);
  meet(warp.meeting, kWarp, file, line);
  return warp.result;
}

unsigned rank_in_cluster() { return current_fiber().block_in_cluster; }

/// The type of the kernel's arguments in the name of the function that launches it.
static std::string kernel_name(const char *pretty) {
  const std::string text = pretty;
  const size_t begin = text.find("Args = "), end = text.find_first_of(";]", begin);
  return begin == std::string::npos ? text : text.substr(begin + 7, end - begin - 7);
}

/// Tells the emulated driver what the launch did to its memory; it refuses what no order
/// of streams allows.
static int report_to_driver(const Launched &launched) {
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
        // The fibers stand somewhere inside the kernel: start them anew next time.
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
