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

/// All between the first and the last byte that a launch accessed.
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
/// A block's shared memory, as accesses see it.
struct Block {
  unsigned char *bytes = nullptr, *shadow = nullptr;  // one byte of each: whether it was written
  size_t size = 0;
  bool has_exits = false;  // a thread of it has ended
};
/// That of the running thread.
inline thread_local Block *running_block = nullptr;

[[noreturn]] __attribute__((format(printf, 1, 2))) void fault(const char *format, ...);
/// The registered buffer that holds `address`; stays valid until the launch ends.
const Buffer *find_buffer(uintptr_t address);
inline Block *this_block() { return running_block; }
Block *block_of_rank(unsigned rank);
/// Waits for `count` threads of the block (barrier ids 0 to 15).
void wait_at_barrier(unsigned id, unsigned count, const char *file, int line);
void wait_for_cluster(const char *file, int line);
/// Words that a lane gives to an exchange at most.
constexpr unsigned kMaxWords = 3;
/// Gives `count` words to the warp; of each word all 32 lanes' values. What it returns is
/// good until this lane's next exchange, which nobody passes before.
const uint64_t (*exchange_in_warp(const uint64_t *words, unsigned count, const char *file,
                                  int line))[32];
/// The same of one word.
inline const uint64_t *exchange_in_warp(uint64_t value, const char *file, int line) {
  return exchange_in_warp(&value, 1, file, line)[0];
}
unsigned rank_in_cluster();
/// Where a launch goes, and what it is called in messages.
struct Launched {
  void *stream;
  const char *name;
};
int run(const dim3 &grid, unsigned threads, size_t shared_bytes, unsigned cluster,
        void (*body)(const void *), const void *argument, const Launched &launched);

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
    (is_write ? buffer_->writes : buffer_->reads).add(address_, sizeof(T));
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
    check();
    unsigned char written[sizeof(T)];
    std::memset(written, 1, sizeof(T));
    if (std::memcmp(block_->shadow + offset_, written, sizeof(T)) != 0)
      fault("read of uninitialised shared memory at byte %zu", offset_);
    T value;
    std::memcpy(&value, block_->bytes + offset_, sizeof(T));
    return value;
  }
  void operator=(const T &value) const {
    check();
    std::memcpy(block_->bytes + offset_, &value, sizeof(T));
    std::memset(block_->shadow + offset_, 1, sizeof(T));
  }
  void operator=(const SharedRef &other) const { *this = T(other); }

 private:
  void check() const {
    if (block_ != running_block && block_->has_exits)
      fault("shared memory of a block that has exited");
  }
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
  template <class To> Shared<To> as() const {
    if (offset_ % alignof(To) || count_ * sizeof(T) % sizeof(To))
      emulation::fault("shared array at byte %zu taken as one of %zu-byte values", offset_,
                       sizeof(To));
    return {block_, offset_, count_ * sizeof(T) / sizeof(To)};
  }
  /// Where it begins, for a read of `count` values by another lane.
  size_t place(size_t count) const {
    if (count > count_) emulation::fault("shared array of %zu read to its %zuth", count_, count);
    return offset_;
  }

 private:
  emulation::Block *block_ = nullptr;
  size_t offset_ = 0, count_ = 0;
};

template <class To, class From> Shared<To> shared_cast(Shared<From> array) {
  return array.template as<To>();
}

template <class T> Global<T> global(const void *address) { return Global<T>(address); }

class SharedArena {
 public:
  template <class T> Shared<T> take(unsigned count) {
    emulation::Block *block = emulation::this_block();
    const size_t offset = used_;
    used_ += (count * sizeof(T) + 15) & ~size_t(15);
    if (used_ > block->size)
      emulation::fault("shared memory of %zu bytes asked for %zu", block->size, used_);
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

inline float bits_to_float(unsigned bits) { return emulation::from_word<float>(bits); }
inline unsigned float_to_bits(float value) { return unsigned(emulation::to_word(value)); }

/// IEEE binary16, exactly.
inline float half_to_float(unsigned short bits) {
  const unsigned magnitude = bits & 0x7fff, sign = unsigned(bits & 0x8000) << 16;
  if (magnitude >= 0x7c00) return bits_to_float(sign | 0x7f800000 | (magnitude & 1023) << 13);
  // Below 2^-14 in steps of 2^-24.
  if (magnitude < 0x400)
    return bits_to_float(sign | float_to_bits(float(magnitude) * (1.0f / (1 << 24))));
  return bits_to_float(sign | (magnitude + (112u << 10)) << 13);
}

/// To the nearest binary16, ties to even.
inline unsigned short float_to_half(float value) {
  const unsigned bits = float_to_bits(value), sign = bits >> 16 & 0x8000;
  const unsigned magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return static_cast<unsigned short>(sign | 0x7fff);
  if (magnitude >= 0x477ff000) return static_cast<unsigned short>(sign | 0x7c00);
  // Below 2^-14 in steps of 2^-24, which is what rint of a scaled value gives.
  if (magnitude < 0x38800000)
    return static_cast<unsigned short>(
        sign | unsigned(std::rint(std::ldexp(bits_to_float(magnitude), 24))));
  const unsigned rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
  return static_cast<unsigned short>(sign | (rounded - (112u << 23)) >> 13);
}

/// To the nearest bfloat16, ties to even.
inline unsigned short float_to_bfloat(float value) {
  const unsigned bits = float_to_bits(value);
  if ((bits & 0x7fffffff) > 0x7f800000) return 0x7fff;
  return static_cast<unsigned short>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
inline double bits_to_double(unsigned long long bits) { return emulation::from_word<double>(bits); }
inline unsigned long long double_to_bits(double value) { return emulation::to_word(value); }

namespace emulation {

/// The value `index` of `row`, an address of shared memory that another lane gave.
inline unsigned matrix_value(uint64_t row, unsigned index) {
  return SharedRef<unsigned short>(this_block(), size_t(row) + index * sizeof(unsigned short));
}

inline void load_matrices(Shared<unsigned short> row, unsigned (&out)[4], bool is_transposed,
                          const char *file, int line) {
  const size_t place = row.place(8);
  if (place % 16) fault("a row of a matrix at byte %zu of shared memory", place);
  const uint64_t *rows = exchange_in_warp(place, file, line);
  const unsigned first = threadIdx.x % 32 / 4, pair = threadIdx.x % 4 * 2;
  for (unsigned i = 0; i < 4; ++i) {
    const uint64_t *matrix = rows + 8 * i;
    out[i] = is_transposed
                 ? matrix_value(matrix[pair], first) | matrix_value(matrix[pair + 1], first) << 16
                 : matrix_value(matrix[first], pair) | matrix_value(matrix[first], pair + 1) << 16;
  }
  // Nobody writes there before the last lane has read.
  exchange_in_warp(0, file, line);
}

}  // namespace emulation

inline void load_matrices(Shared<unsigned short> row, unsigned (&out)[4], FP_SITE_PARAMETERS) {
  emulation::load_matrices(row, out, false, FP_SITE);
}
inline void load_matrices_transposed(Shared<unsigned short> row, unsigned (&out)[4],
                                     FP_SITE_PARAMETERS) {
  emulation::load_matrices(row, out, true, FP_SITE);
}

/// Each sum is exact but for one rounding at its end; a tensor core's is rounded otherwise.
template <bool IS_BFLOAT>
void mma(float (&sums)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, FP_SITE_PARAMETERS) {
  const auto two = [](unsigned low, unsigned high) { return low | uint64_t(high) << 32; };
  const uint64_t own[3] = {two(a[0], a[1]), two(a[2], a[3]), two(b0, b1)};
  const auto lanes = emulation::exchange_in_warp(own, 3, FP_SITE);
  const uint64_t *near = lanes[0], *far = lanes[1], *columns = lanes[2];
  const auto value = [](uint64_t word, unsigned index) {
    const auto bits = static_cast<unsigned short>(word >> 16 * index);
    return double(IS_BFLOAT ? bits_to_float(unsigned(bits) << 16) : half_to_float(bits));
  };
  const unsigned row = threadIdx.x % 32 / 4, column = threadIdx.x % 4 * 2;
  double rows[2][16];
  for (unsigned k = 0; k < 16; ++k) {
    const uint64_t word = (k < 8 ? near : far)[4 * row + k % 8 / 2];
    rows[0][k] = value(word, k % 2);
    rows[1][k] = value(word, 2 + k % 2);  // 16-bit values of row + 8 follow those of row
  }
  for (unsigned i = 0; i < 2; ++i) {
    double low = sums[i], high = sums[2 + i];
    for (unsigned k = 0; k < 16; ++k) {
      const double of_b = value(columns[4 * (column + i) + k % 8 / 2], k / 8 * 2 + k % 2);
      low += rows[0][k] * of_b;
      high += rows[1][k] * of_b;
    }
    sums[i] = float(low);
    sums[2 + i] = float(high);
  }
}

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
