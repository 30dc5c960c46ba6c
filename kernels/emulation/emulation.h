// The CUDA execution model on the host, for tests.
//
// The kernel sources compile against this header instead of the CUDA headers and run as
// they are. Each thread of a block is a fiber; blocks run one after another, the blocks
// of a cluster together; barriers, shuffles and votes are rendezvous.
//
// What a run without a fault proves, for the inputs it was given:
//   * no access to global memory outside a registered buffer, to shared memory outside the
//     array it was taken for, to another block's shared memory after that block began to
//     exit, or off its type's alignment; no write to a read-only buffer;
//   * no read of shared memory that nothing wrote;
//   * all threads of a barrier, and all 32 of a warp's shuffle or vote, arrive, and from
//     the same line: else the fault says who waits where instead of hanging;
//   * with several orders (fp_emulation_set_order), that the result doesn't depend on
//     which thread runs first between two rendezvous.
// What it does not prove: anything about weak memory (memory is sequentially consistent,
// and a fiber runs until its next rendezvous), races that no tried order shows,
// asynchronous copies, timing, occupancy, limits of registers, or the last bit of exp and
// log, which are the host's. Blocks outside a cluster never run at the same time. That is
// for compute-sanitizer and a device.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

extern "C" {
/// Makes [address, address + bytes) known to kernels until it is unregistered.
void fp_emulation_register(const void *address, size_t bytes, int is_writable);
void fp_emulation_unregister_all(void);
/// Seeds the order in which threads run; 0 is ascending.
void fp_emulation_set_order(uint64_t seed);
/// What the last launch of this thread was stopped for; empty if it wasn't.
const char *fp_emulation_fault(void);
/// Launches on this thread so far.
uint64_t fp_emulation_num_launches(void);
}

// Where a rendezvous stands in the source, for faults.
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

struct Buffer {
  uintptr_t begin, end;
  bool is_writable;
};
struct Block;

[[noreturn]] __attribute__((format(printf, 1, 2))) void fault(const char *format, ...);
/// The registered buffer that holds `address`; stays valid until the launch ends.
const Buffer *find_buffer(uintptr_t address);
Block *this_block();
Block *block_of_rank(unsigned rank);
/// Base of a block's shared memory; faults where that block began to exit.
unsigned char *shared_bytes(Block *block);
/// One byte for each of shared memory: whether it was written.
unsigned char *shared_shadow(Block *block);
size_t shared_size(Block *block);
/// Waits for `count` threads of the block (barrier ids 0 to 15).
void wait_at_barrier(unsigned id, unsigned count, const char *file, int line);
void wait_for_cluster(const char *file, int line);
/// Gives `value` (up to 8 bytes) to the warp and returns all 32 lanes' values.
const uint64_t *exchange_in_warp(uint64_t value, const char *file, int line);
unsigned rank_in_cluster();
int run(const dim3 &grid, unsigned threads, size_t shared_bytes, unsigned cluster,
        void (*body)(const void *), const void *argument);

/// A place in global memory, read and written with checks.
template <class T> class GlobalRef {
 public:
  using Value = std::remove_const_t<T>;
  GlobalRef(uintptr_t address, const Buffer *buffer) : address_(address), buffer_(buffer) {}
  operator Value() const {
    check(false);
    return *reinterpret_cast<const Value *>(address_);
  }
  void operator=(const Value &value) const {
    static_assert(!std::is_const_v<T>, "a kernel writes to what it takes as read-only");
    check(true);
    *reinterpret_cast<Value *>(address_) = value;
  }

 private:
  void check(bool is_write) const {
    if (!buffer_ || address_ < buffer_->begin || address_ + sizeof(T) > buffer_->end)
      fault("%s of %zu bytes outside its buffer, by %lld bytes past its begin of %lld",
            is_write ? "write" : "read", sizeof(T),
            buffer_ ? (long long)(address_ - buffer_->begin) : -1LL,
            buffer_ ? (long long)(buffer_->end - buffer_->begin) : 0LL);
    if (address_ % alignof(T)) fault("misaligned access of %zu bytes", sizeof(T));
    if (is_write && !buffer_->is_writable) fault("write to a read-only buffer");
  }
  uintptr_t address_;
  const Buffer *buffer_;
};

/// A place in shared memory, read and written with checks.
template <class T> class SharedRef {
 public:
  SharedRef(Block *block, size_t offset) : block_(block), offset_(offset) {}
  SharedRef(const SharedRef &) = default;
  operator T() const {
    T value;
    const unsigned char *bytes = shared_bytes(block_);
    const unsigned char *shadow = shared_shadow(block_) + offset_;
    if (std::memchr(shadow, 0, sizeof(T)))
      fault("read of uninitialised shared memory at byte %zu", offset_);
    std::memcpy(&value, bytes + offset_, sizeof(T));
    return value;
  }
  void operator=(const T &value) const {
    std::memcpy(shared_bytes(block_) + offset_, &value, sizeof(T));
    std::memset(shared_shadow(block_) + offset_, 1, sizeof(T));
  }
  void operator=(const SharedRef &other) const { *this = T(other); }

 private:
  Block *block_;
  size_t offset_;
};

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

template <class T> class Global {
 public:
  Global() = default;
  explicit Global(const void *address)
      : address_(reinterpret_cast<uintptr_t>(address)), buffer_(emulation::find_buffer(address_)) {}
  emulation::GlobalRef<T> operator[](size_t index) const {
    return {address_ + index * sizeof(T), buffer_};
  }
  emulation::GlobalRef<T> operator*() const { return (*this)[0]; }
  Global operator+(size_t count) const {
    Global moved = *this;
    moved.address_ += count * sizeof(T);
    return moved;
  }
  explicit operator bool() const { return address_ != 0; }

 private:
  uintptr_t address_ = 0;
  const emulation::Buffer *buffer_ = nullptr;
};

template <class T> class Shared {
 public:
  Shared() = default;
  Shared(emulation::Block *block, size_t offset, size_t count)
      : block_(block), offset_(offset), count_(count) {}
  emulation::SharedRef<T> operator[](size_t index) const {
    if (index >= count_)
      emulation::fault("shared array of %zu read or written at %zu", count_, index);
    return {block_, offset_ + index * sizeof(T)};
  }
  Shared operator+(size_t count) const {
    if (count > count_) emulation::fault("shared array of %zu moved by %zu", count_, count);
    return {block_, offset_ + count * sizeof(T), count_ - count};
  }
  Shared of_block(emulation::Block *block) const { return {block, offset_, count_}; }

 private:
  emulation::Block *block_ = nullptr;
  size_t offset_ = 0, count_ = 0;
};

template <class T> Global<T> global(const void *address) { return Global<T>(address); }

class SharedArena {
 public:
  template <class T> Shared<T> take(unsigned count) {
    emulation::Block *block = emulation::this_block();
    const size_t offset = used_;
    used_ += (count * sizeof(T) + 15) & ~size_t(15);
    if (used_ > emulation::shared_size(block))
      emulation::fault("shared memory of %zu bytes asked for %zu", emulation::shared_size(block),
                       used_);
    return {block, offset, count};
  }

 private:
  size_t used_ = 0;
};

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

/// IEEE binary16, exactly.
inline float half_to_float(unsigned short bits) {
  const int exponent = (bits >> 10) & 31;
  const float mantissa = float(bits & 1023);
  float value = exponent == 0    ? std::ldexp(mantissa, -24)
                : exponent == 31 ? (mantissa == 0 ? INFINITY : NAN)
                                 : std::ldexp(1024.0f + mantissa, exponent - 25);
  return bits & 0x8000 ? -value : value;
}
inline float bits_to_float(unsigned bits) { return emulation::from_word<float>(bits); }
inline unsigned float_to_bits(float value) { return unsigned(emulation::to_word(value)); }
inline double bits_to_double(unsigned long long bits) { return emulation::from_word<double>(bits); }
inline unsigned long long double_to_bits(double value) { return emulation::to_word(value); }

inline bool device_has_clusters() { return true; }

struct LaunchShape {
  dim3 grid;
  unsigned threads;
  size_t shared_bytes;
  unsigned cluster;
};

template <class Args>
int launch(void (*kernel)(Args), const LaunchShape &shape, void *, const Args &args) {
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
      &call);
}

}  // namespace fp

using std::exp;
using std::fmaf;
using std::fabs;
using std::isfinite;
using std::isnan;
using std::log;
using std::sqrt;
