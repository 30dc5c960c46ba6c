// State of this thread's emulation, shared by its scheduler and its launches.
#pragma once

#include "emulation.h"

#include <csetjmp>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include <sys/mman.h>
#include <ucontext.h>

namespace fp::emulation {

constexpr size_t kStackBytes = 64 << 10;
constexpr size_t kStackStagger = 832;
constexpr unsigned kWarp = 32;
constexpr unsigned kNumBarriers = 16;
/// Contents of memory before anything is written to it.
constexpr unsigned char kPoison = 0xcb;

/// A meeting point of threads: a barrier of a block or cluster, or a warp's exchange.
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

// Switching stacks is most of what the emulation does. The compiler's own jumps save and restore
// the stack and the place alone, where the library's keep all registers and look at signals.
#if defined(__GNUC__) && defined(__x86_64__)
using Context = void *[5];
#define FP_SAVE_CONTEXT(context) __builtin_setjmp(context)
#define FP_JUMP(context) __builtin_longjmp(context, 1)
#else
using Context = jmp_buf;
#define FP_SAVE_CONTEXT(context) _setjmp(context)
#define FP_JUMP(context) _longjmp(context, 1)
#endif

struct Fiber {
  Context context;
  ucontext_t start;
  unsigned char *stack = nullptr;
  bool is_started = false;
  State state = State::kDone;
  const Rendezvous *waits_for = nullptr;
  unsigned block_in_cluster = 0, thread = 0;
};

/// A running block.
struct RunningBlock : Block {
  dim3 index;
  std::vector<unsigned char> memory, written;
  Rendezvous barriers[kNumBarriers];
  std::vector<WarpExchange> warps;
};

struct Machine {
  Context scheduler;
  std::vector<std::unique_ptr<Fiber>> fibers;
  std::vector<RunningBlock> blocks;  // of the running cluster
  Rendezvous cluster;
  unsigned threads = 0;
  unsigned current = 0;
  void (*body)(const void *) = nullptr;
  const void *argument = nullptr;
  std::vector<Buffer> buffers;
  std::deque<Buffer> driver_buffers;  // found by the running launch; addresses are stable
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

// Accessed through a pointer that needs no initialiser: reaching a thread-local object with one
// takes a call on every access.
inline thread_local Machine *machine_of_thread = nullptr;
/// Sets it to a machine that is destroyed with the thread.
Machine &make_machine();

inline Machine &machine() { return machine_of_thread ? *machine_of_thread : make_machine(); }

inline Fiber &current_fiber() { return *machine().fibers[machine().current]; }

inline RunningBlock &current_block() { return machine().blocks[current_fiber().block_in_cluster]; }

/// Makes a block ready to run, with its shared memory poisoned.
void prepare_block(RunningBlock &block, const dim3 &index, size_t shared_bytes);
/// Runs every thread of the machine's blocks to completion; false on a fault.
bool run_cluster();

}  // namespace fp::emulation
