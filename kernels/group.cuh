// Groups of threads that work on one row, and their collective operations.
//
// A block holds one or more groups of THREADS threads. Each group has its own barrier, so that
// the groups of a block can work on different rows. All reductions use the same tree for all data
// and any order of arrival.
#pragma once

#include "elements.cuh"

namespace fp {

constexpr unsigned kWarpSize = 32;

/// Every kernel requests one block per multiprocessor: without a request the compiler aims at an
/// occupancy of its own choice and spills registers to reach it.
constexpr unsigned kMinBlocks = 1;

/// This thread's position in its group of THREADS threads.
template <int THREADS> struct Group {
  static constexpr unsigned kThreads = THREADS;
  static constexpr unsigned kWarps = THREADS / kWarpSize;
  static_assert(THREADS % kWarpSize == 0 && kWarps <= kWarpSize, "a group is whole warps");

  unsigned index;  // of the group in its block
  unsigned rank;   // of this thread in the group
  bool is_alone;   // the group is the whole block

  __device__ explicit Group(bool is_alone)
      : index(threadIdx.x / THREADS), rank(threadIdx.x % THREADS), is_alone(is_alone) {}
  __device__ __forceinline__ unsigned warp() const { return rank / kWarpSize; }
  __device__ __forceinline__ unsigned lane() const { return rank % kWarpSize; }
  /// Barrier 0 is the block's; the groups of a block use the following ones.
  __device__ __forceinline__ void sync(FP_SITE_PARAMETERS) const {
    if (is_alone)
      block_sync(FP_SITE);
    else
      barrier_sync(index + 1, THREADS FP_AND_SITE);
  }
};

/// The most values that one reduction combines.
constexpr unsigned kReduceValues = 8;

/// Type T in a context where it is not deduced.
template <class T> struct Same { using Type = T; };

// Combined in f64 unless stated otherwise.
struct Sum {
  template <class T = double>
  __device__ static T combine(typename Same<T>::Type a, typename Same<T>::Type b) {
    return a + b;
  }
};
struct Max {
  template <class T = double>
  __device__ static T combine(typename Same<T>::Type a, typename Same<T>::Type b) {
    return b > a ? b : a;
  }
};

/// Combines each of `values` over the group; every thread gets the result. The lanes of a warp
/// are combined by a butterfly, the warps in ascending order. `scratch`: kWarps · COUNT values.
template <class Operation, int THREADS, class T, int COUNT>
__device__ void reduce(const Group<THREADS> &group, Shared<T> scratch, T (&values)[COUNT]) {
  static_assert(COUNT <= int(kReduceValues), "the scratch is made for fewer");
#pragma unroll
  for (int i = 0; i < COUNT; ++i)
#pragma unroll
    for (unsigned mask = kWarpSize / 2; mask > 0; mask /= 2)
      values[i] = Operation::template combine<T>(values[i], shuffle_xor(values[i], mask));
  if (group.lane() == 0)
#pragma unroll
    for (int i = 0; i < COUNT; ++i) scratch[group.warp() * COUNT + i] = values[i];
  group.sync();
#pragma unroll
  for (int i = 0; i < COUNT; ++i) values[i] = scratch[i];
#pragma unroll 1  // otherwise the loads of all warps are in flight at once and registers spill
  for (unsigned warp = 1; warp < Group<THREADS>::kWarps; ++warp)
#pragma unroll
    for (int i = 0; i < COUNT; ++i)
      values[i] = Operation::template combine<T>(values[i], scratch[warp * COUNT + i]);
  group.sync();  // the scratch can be overwritten
}

/// Calls `visit(e, position)` for each flagged element of this thread, where `position` is
/// the number of flagged elements before it in index order; bit e of `flags` stands for the
/// element of index e·THREADS + rank. `scratch`: ELEMENTS · kWarps words.
template <int ELEMENTS, int THREADS, class Visit>
__device__ void visit_in_order(const Group<THREADS> &group, Shared<unsigned> scratch,
                               unsigned flags, const Visit &visit) {
  constexpr unsigned kWarps = Group<THREADS>::kWarps;
  constexpr unsigned kWords = ELEMENTS * kWarps;
#pragma unroll
  for (int e = 0; e < ELEMENTS; ++e) {
    const unsigned votes = ballot(flags >> e & 1);
    if (group.lane() == 0) scratch[e * kWarps + group.warp()] = count_bits(votes);
  }
  group.sync();
  if (group.warp() == 0) {
    // An exclusive prefix sum over the words, 32 at a time.
    unsigned before = 0;
    for (unsigned base = 0; base < kWords; base += kWarpSize) {
      const unsigned word = base + group.lane();
      const unsigned own = word < kWords ? unsigned(scratch[word]) : 0;
      unsigned sum = own;
#pragma unroll
      for (unsigned distance = 1; distance < kWarpSize; distance *= 2) {
        const unsigned lower = shuffle_up(sum, distance);
        if (group.lane() >= distance) sum += lower;
      }
      if (word < kWords) scratch[word] = before + sum - own;
      unsigned total = group.lane() == kWarpSize - 1 ? sum : 0;
#pragma unroll
      for (unsigned mask = kWarpSize / 2; mask > 0; mask /= 2) total += shuffle_xor(total, mask);
      before += total;
    }
  }
  group.sync();
  const unsigned lanes_below = (1u << group.lane()) - 1;
#pragma unroll
  for (int e = 0; e < ELEMENTS; ++e) {
    const unsigned votes = ballot(flags >> e & 1);
    if (flags >> e & 1)
      visit(e, scratch[e * kWarps + group.warp()] + count_bits(votes & lanes_below));
  }
  group.sync();  // the scratch can be overwritten
}

/// Lowers the error word to the error found here.
__device__ inline void report(Global<unsigned long long> error, fp_data_error code, unsigned row,
                              unsigned position) {
  atomic_min(error, static_cast<unsigned long long>(row) << 32 |
                        static_cast<unsigned long long>(position) << 8 | unsigned(code));
}

/// Attention values of any of the three formats, read as f32; all conversions are exact.
class Values {
 public:
  __device__ Values(const void *address, unsigned dtype) : address_(address), dtype_(dtype) {}

  /// The `count` values at `first`, `first + step`, …, at most COUNT of them; the remaining
  /// places are 0. The format is tested once, so that all loads are in flight together.
  template <int COUNT>
  __device__ __forceinline__ void load(size_t first, size_t step, unsigned count,
                                       float (&values)[COUNT]) const {
    if (dtype_ == FP_F32)
      load_as<F32>(first, step, count, values);
    else if (dtype_ == FP_F16)
      load_as<F16>(first, step, count, values);
    else
      load_as<Bf16>(first, step, count, values);
  }

 private:
  template <class Format, int COUNT>
  __device__ __forceinline__ void load_as(size_t first, size_t step, unsigned count,
                                          float (&values)[COUNT]) const {
    const Global<const typename Format::Stored> from =
        global<const typename Format::Stored>(address_) + first;
    typename Format::Stored stored[COUNT];
#pragma unroll
    for (int i = 0; i < COUNT; ++i) {
      stored[i] = 0;
      if (unsigned(i) < count) stored[i] = from[i * step];
    }
#pragma unroll
    for (int i = 0; i < COUNT; ++i) values[i] = Format::widen(stored[i]);
  }

  const void *address_;
  unsigned dtype_;
};

/// Number of `begin`, `begin + step`, … below `end`.
__device__ __forceinline__ unsigned steps_below(unsigned begin, unsigned end, unsigned step) {
  return begin < end ? (end - begin - 1) / step + 1 : 0;
}

/// Whether a softmax can produce this value.
__device__ inline bool is_attention(float value) {
  return value >= 0.0f && value <= 3.402823466e38f;
}

}  // namespace fp
