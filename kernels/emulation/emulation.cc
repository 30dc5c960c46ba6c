// The scheduler behind emulation.h: fibers, rendezvous, faults.

#include "machine.h"

#include <cstdarg>
#include <cstdio>
#include <numeric>

namespace fp::emulation {

Machine &make_machine() {
  thread_local Machine machine;
  machine_of_thread = &machine;
  return machine;
}

namespace {

/// Jumps to the scheduler.
__attribute__((noinline)) void leave(Machine &machine) { FP_JUMP(machine.scheduler); }

/// Returns to the scheduler until it resumes this fiber. A function that saves its place must not
/// jump itself: the compiler takes the rest of it for unreachable.
__attribute__((noinline)) void yield(Machine &machine, Fiber &fiber) {
  if (FP_SAVE_CONTEXT(fiber.context) == 0) leave(machine);
}

/// A fiber outlives its block: it runs the threads of block after block.
void fiber_main() {
  for (;;) {
    machine().body(machine().argument);
    machine().blocks[current_fiber().block_in_cluster].has_exits = true;
    current_fiber().state = State::kDone;
    yield(machine(), current_fiber());
  }
}

/// Jumps into a fiber, whose stack is prepared the first time.
__attribute__((noinline)) void enter(Fiber &fiber) {
  if (fiber.is_started) FP_JUMP(fiber.context);
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
  // Stacks that start at the same page offset would map to the same cache lines.
  fiber.start.uc_stack.ss_size = kStackBytes - machine().current % kWarp * kStackStagger;
  fiber.start.uc_link = nullptr;
  makecontext(&fiber.start, fiber_main, 0);
  setcontext(&fiber.start);
}

/// Runs a fiber until it yields.
__attribute__((noinline)) void start_or_resume(Machine &machine, Fiber &fiber) {
  if (FP_SAVE_CONTEXT(machine.scheduler) == 0) enter(fiber);
}

/// Waits until `expected` threads have arrived; false for the thread that completes it.
void meet(Rendezvous &meeting, unsigned expected, const char *file, int line) {
  Machine &it = machine();
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
    Fiber &fiber = *it.fibers[it.current];
    meeting.waiting.push_back(it.current);
    fiber.state = State::kWaiting;
    fiber.waits_for = &meeting;
    yield(it, fiber);
    return;
  }
  for (unsigned fiber : meeting.waiting) it.fibers[fiber]->state = State::kReady;
  meeting.waiting.clear();
  meeting.arrived = 0;
}

/// No thread can continue: reports how many wait where, and how many have ended.
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

/// The order in which threads run: warp by warp, both shuffled if an order was set.
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

/// Runs each ready thread of a warp once; false if none was ready.
bool run_warp(Machine &it, const unsigned *threads) {
  // A warp is of one block.
  RunningBlock &block = it.blocks[it.fibers[threads[0]]->block_in_cluster];
  running_block = &block;
  blockIdx = block.index;
  bool has_progress = false;
  for (unsigned lane = 0; lane < kWarp && !it.has_fault; ++lane) {
    Fiber &fiber = *it.fibers[threads[lane]];
    if (fiber.state != State::kReady) continue;
    it.current = threads[lane];
    threadIdx.x = fiber.thread;
    start_or_resume(it, fiber);
    has_progress = true;
  }
  return has_progress;
}

}  // namespace

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
    // A warp runs for as long as it can by itself: its stacks stay in the cache.
    for (unsigned first = 0; first < count && !machine().has_fault; first += kWarp)
      while (run_warp(machine(), &order[first])) has_progress = true;
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
  FP_JUMP(machine().scheduler);
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
  Machine &it = machine();
  const Fiber &fiber = *it.fibers[it.current];
  const unsigned thread = fiber.thread;
  WarpExchange &warp = it.blocks[fiber.block_in_cluster].warps[thread / kWarp];
  for (unsigned i = 0; i < count; ++i) warp.given[i][thread % kWarp] = words[i];
  if (warp.meeting.arrived + 1 == kWarp)
    std::memcpy(warp.result, warp.given, count * sizeof warp.given[0]);
  meet(warp.meeting, kWarp, file, line);
  return warp.result;
}

unsigned rank_in_cluster() { return current_fiber().block_in_cluster; }

}  // namespace fp::emulation
