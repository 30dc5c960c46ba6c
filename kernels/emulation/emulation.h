// The CUDA execution model on the host, for tests.
//
// The kernel sources compile against this header instead of the CUDA headers and run unchanged.
// Each thread of a block is a fiber; blocks run one after another, the blocks of a cluster
// together; barriers, shuffles and votes are rendezvous.
//
// What a run without a fault proves, for its inputs:
//   * no access to global memory outside a registered buffer, to shared memory outside the
//     array it was taken for, to another block's shared memory after that block began to
//     exit, or off its type's alignment; no write to a read-only buffer;
//   * no read of shared memory that nothing wrote;
//   * all threads of a barrier, and all 32 of a warp's shuffle or vote, arrive, and from
//     the same line: otherwise the fault says which threads wait where, and nothing hangs;
//   * with several orders (fp_emulation_set_order), that the result doesn't depend on
//     which thread runs first between two rendezvous.
// What it does not prove: anything about weak memory (memory is sequentially consistent, and a
// fiber runs until its next rendezvous), races that no tried order shows, asynchronous copies,
// timing, occupancy, register limits, or the last bit of exp and log, which are the host's.
// Blocks outside a cluster never run at the same time. For these, use compute-sanitizer and a
// device.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

extern "C" {
/// Registers [address, address + bytes) as accessible to kernels until it is unregistered.
void fp_emulation_register(const void *address, size_t bytes, int is_writable);
void fp_emulation_unregister_all(void);
/// Seeds the order in which threads run; 0 is ascending order.
void fp_emulation_set_order(uint64_t seed);
/// Fault that stopped the last launch of this thread; empty if there was none.
const char *fp_emulation_fault(void);
/// Number of launches on this thread so far.
uint64_t fp_emulation_num_launches(void);
}

// Source location of a rendezvous, for faults.
#define FP_SITE_PARAMETERS const char *file = __builtin_FILE(), int line = __builtin_LINE()
#define FP_SITE file, line
#define FP_AND_SITE , file, line

#define FP_HAS_CLUSTERS 1
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct alignas(16) float4 {
  float x, y, z, w;
};

inline thread_local dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace fp {
namespace emulation {

/// The range from the first to the last byte that a launch accessed.
struct Touched {
  uintptr_t begin = UINTPTR_MAX, end = 0;
  void add(uintptr_t address, size_t bytes) {
    if (address < begin) begin = address;
    if (address + bytes > end) end = address + bytes;
  }
};
struct Buffer {
  uintptr_t begin, end;
  bool is_writable;
  mutable Touched reads, writes;  // of the running launch, for the emulated driver
};
/// A block's shared memory, as seen by accesses.
struct Block {
  unsigned char *bytes = nullptr, *shadow = nullptr;  // whether each byte was written
  size_t size = 0;
  bool has_exits = false;  // one of its threads has ended
};
/// The block of the running thread.
inline thread_local Block *running_block = nullptr;

[[noreturn]] __attribute__((format(printf, 1, 2))) void fault(const char *format, ...);
/// The registered buffer that holds `address`; stays valid until the launch ends.
const Buffer *find_buffer(uintptr_t address);
inline Block *this_block() { return running_block; }
Block *block_of_rank(unsigned rank);
/// Waits for `count` threads of the block (barrier ids 0 to 15).
void wait_at_barrier(unsigned id, unsigned count, const char *file, int line);
void wait_for_cluster(const char *file, int line);
/// Most words that a lane passes to an exchange.
constexpr unsigned kMaxWords = 3;
/// Passes `count` words to the warp; returns all 32 lanes' values of each word. The result is
/// valid until this lane's next exchange, which no lane passes before this one.
const uint64_t (*exchange_in_warp(const uint64_t *words, unsigned count, const char *file,
                                  int line))[32];
/// The same for one word.
inline const uint64_t *exchange_in_warp(uint64_t value, const char *file, int line) {
  return exchange_in_warp(&value, 1, file, line)[0];
}
unsigned rank_in_cluster();
/// Stream of a launch, and its name in messages.
struct Launched {
  void *stream;
  const char *name;
};
int run(const dim3 &grid, unsigned threads, size_t shared_bytes, unsigned cluster,
        void (*body)(const void *), const void *argument, const Launched &launched);

template <class T> uint64_t to_word(T value) {
  static_assert(sizeof(T) <= 8);
  uint64_t word = 0;
  std::memcpy(&word, &value, sizeof(T));
  return word;
}
template <class T> T from_word(uint64_t word) {
  T value;
  std::memcpy(&value, &word, sizeof(T));
  return value;
}

}  // namespace emulation
}  // namespace fp

#include "memory.h"

namespace fp {

inline void block_sync(FP_SITE_PARAMETERS) {
  emulation::wait_at_barrier(0, blockDim.x, FP_SITE);
}
inline void barrier_sync(unsigned id, unsigned threads, FP_SITE_PARAMETERS) {
  emulation::wait_at_barrier(id, threads, FP_SITE);
}
inline void warp_sync(FP_SITE_PARAMETERS) {
  emulation::exchange_in_warp(0, FP_SITE);
}
template <class T>
T shuffle_xor(T value, unsigned mask, FP_SITE_PARAMETERS) {
  const uint64_t *lanes = emulation::exchange_in_warp(emulation::to_word(value), FP_SITE);
  return emulation::from_word<T>(lanes[(threadIdx.x % 32) ^ mask]);
}
template <class T>
T shuffle_up(T value, unsigned distance, FP_SITE_PARAMETERS) {
  const uint64_t *lanes = emulation::exchange_in_warp(emulation::to_word(value), FP_SITE);
  const unsigned lane = threadIdx.x % 32;
  return lane < distance ? value : emulation::from_word<T>(lanes[lane - distance]);
}
inline unsigned ballot(bool vote, FP_SITE_PARAMETERS) {
  const uint64_t *lanes = emulation::exchange_in_warp(vote, FP_SITE);
  unsigned votes = 0;
  for (unsigned lane = 0; lane < 32; ++lane) votes |= unsigned(lanes[lane]) << lane;
  return votes;
}
inline unsigned count_bits(unsigned bits) { return unsigned(__builtin_popcount(bits)); }

inline void atomic_add(Shared<unsigned> array, unsigned index, unsigned value) {
  array[index] = unsigned(array[index]) + value;
}
inline void atomic_min(Global<unsigned long long> word, unsigned long long value) {
  if (value < static_cast<unsigned long long>(*word)) *word = value;
}

inline unsigned cluster_rank() { return emulation::rank_in_cluster(); }
inline void cluster_sync(FP_SITE_PARAMETERS) {
  emulation::wait_for_cluster(FP_SITE);
}
template <class T> Shared<T> on_rank(Shared<T> array, unsigned rank) {
  return array.of_block(emulation::block_of_rank(rank));
}

}  // namespace fp

// Used by the primitives above.
#include "numbers.h"
#include "matrices.h"

namespace fp {

inline bool device_has_clusters() { return true; }
inline unsigned num_multiprocessors() { return 132; }

struct LaunchShape {
  dim3 grid;
  unsigned threads;
  size_t shared_bytes;
  unsigned cluster;
};

template <class Args>
int launch(void (*kernel)(Args), const LaunchShape &shape, void *stream, const Args &args) {
  struct Call {
    void (*kernel)(Args);
    const Args *args;
  } call = {kernel, &args};
  return emulation::run(
      shape.grid, shape.threads, shape.shared_bytes, shape.cluster,
      [](const void *call) {
        const Call *it = static_cast<const Call *>(call);
        it->kernel(*it->args);
      },
      &call, {stream, __PRETTY_FUNCTION__});
}

}  // namespace fp

using std::exp;
using std::fmaf;
using std::fabs;
using std::isfinite;
using std::isnan;
using std::log;
using std::sqrt;
