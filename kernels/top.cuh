// The R largest of a group's values, ties to the lower index, exact.
//
// How: radix selection (Alabi et al., "Fast k-selection algorithms for graphics processing
// units", ACM JEA 17, 2012). Keys stay in registers; each pass counts one digit of eight bits in
// 256 bins of shared memory and fixes the digit of the R-th largest key. A last pass ranks ties
// by index.
// Why: a sort moves every key log² times to order keys that are then discarded; a heap per thread
// branches on keys. Here no key moves, and no branch of the count depends on a key.
// Cost: at most eight passes of one shared atomic per open key. Passes count only keys with the
// digits found so far, and end once all keys of a bin are selected.
// Reference: fp_kernels::cpu::reference::top_r, on the emulation and on a GPU.
#pragma once

#include "group.cuh"

namespace fp {

/// Maps a double to an integer of the same order; −0 and 0 map to the same integer.
__device__ __forceinline__ unsigned long long ordered_key(double value) {
  const unsigned long long bits = double_to_bits(value + 0.0);
  constexpr unsigned long long kSign = 1ull << 63;
  return bits & kSign ? ~bits : bits | kSign;
}

/// Inverse of `ordered_key`.
__device__ __forceinline__ double value_of_key(unsigned long long key) {
  constexpr unsigned long long kSign = 1ull << 63;
  return bits_to_double(key & kSign ? key & ~kSign : ~key);
}

constexpr unsigned kDigitBits = 8;
constexpr unsigned kNumBins = 1u << kDigitBits;

/// Shared memory of a group while it selects.
template <int THREADS, int ELEMENTS> struct TopScratch {
  Shared<unsigned> bins;     // kNumBins
  Shared<unsigned> found;    // digit, keys still wanted, keys in its bin
  Shared<unsigned> counts;   // ELEMENTS · kWarps
  Shared<double> reduction;

  static constexpr unsigned kFound = 4;
  static constexpr unsigned kCounts = ELEMENTS * Group<THREADS>::kWarps;
  static constexpr unsigned kReduction = Group<THREADS>::kWarps * kReduceValues;
  static constexpr unsigned kBytes =
      (kNumBins + kFound + ((kCounts + 3) & ~3u)) * sizeof(unsigned) + kReduction * sizeof(double);

  __device__ TopScratch(Shared<unsigned> bins, Shared<unsigned> found, Shared<unsigned> counts,
                        Shared<double> reduction)
      : bins(bins), found(found), counts(counts), reduction(reduction) {}
  __device__ TopScratch(SharedArena &arena, unsigned group, unsigned num_groups) {
    bins = arena.take<unsigned>(num_groups * kNumBins) + group * kNumBins;
    found = arena.take<unsigned>(num_groups * kFound) + group * kFound;
    counts = arena.take<unsigned>(num_groups * kCounts) + group * kCounts;
    reduction = arena.take<double>(num_groups * kReduction) + group * kReduction;
  }
};

/// Finds the bin that holds the `wanted`-th largest key: warp 0 counts bins from the top.
template <int THREADS, int ELEMENTS>
__device__ void find_bin(const Group<THREADS> &group, const TopScratch<THREADS, ELEMENTS> &scratch,
                         unsigned wanted) {
  constexpr unsigned kPerLane = kNumBins / kWarpSize;
  // Lane 0 has the highest bins.
  const unsigned top = kNumBins - 1 - group.lane() * kPerLane;
  unsigned own = 0;
  for (unsigned i = 0; i < kPerLane; ++i) own += scratch.bins[top - i];
  unsigned sum = own;
#pragma unroll
  for (unsigned distance = 1; distance < kWarpSize; distance *= 2) {
    const unsigned higher = shuffle_up(sum, distance);
    if (group.lane() >= distance) sum += higher;
  }
  unsigned above = sum - own;
  if (above >= wanted || sum < wanted) return;  // in another lane's bins
  for (unsigned i = 0; i < kPerLane; ++i) {
    const unsigned in_bin = scratch.bins[top - i];
    if (above + in_bin >= wanted) {
      scratch.found[0] = top - i;
      scratch.found[1] = wanted - above;
      scratch.found[2] = in_bin;
      return;
    }
    above += in_bin;
  }
}

/// A bit for each of the `count` largest keys of elements below `num_values`; element e of this
/// thread has index e·THREADS + rank. By radix selection: eight bits at a time from the top,
/// until all keys of a bin are wanted or its keys are equal to the last bit.
template <int THREADS, int ELEMENTS>
__device__ unsigned mark_top(const Group<THREADS> &group,
                             const TopScratch<THREADS, ELEMENTS> &scratch,
                             const unsigned long long (&keys)[ELEMENTS], unsigned num_values,
                             unsigned count) {
  unsigned wanted = count, in_bin = num_values;
  unsigned long long prefix = 0;  // the digits found so far, in place
  unsigned shift = 64;            // the bits below are still open
  while (wanted < in_bin && shift > 0) {
    shift -= kDigitBits;
    for (unsigned bin = group.rank; bin < kNumBins; bin += THREADS) scratch.bins[bin] = 0u;
    group.sync();
#pragma unroll
    for (int e = 0; e < ELEMENTS; ++e) {
      const bool is_value = e * THREADS + group.rank < num_values;
      const bool is_open = shift + kDigitBits == 64 ||
                           (keys[e] ^ prefix) >> ((shift + kDigitBits) & 63) == 0;
      if (is_value && is_open)
        atomic_add(scratch.bins, unsigned(keys[e] >> shift) & (kNumBins - 1), 1);
    }
    group.sync();
    if (group.warp() == 0) find_bin(group, scratch, wanted);
    group.sync();
    prefix |= static_cast<unsigned long long>(unsigned(scratch.found[0])) << shift;
    wanted = scratch.found[1];
    in_bin = scratch.found[2];
  }
  unsigned kept = 0, tied = 0;
#pragma unroll
  for (int e = 0; e < ELEMENTS; ++e) {
    const bool is_value = e * THREADS + group.rank < num_values;
    const unsigned long long open_bits = shift < 64 ? keys[e] >> shift : 0;
    const unsigned long long cut_bits = shift < 64 ? prefix >> shift : 0;
    if (is_value && open_bits == cut_bits) tied |= 1u << e;
    if (is_value && open_bits > cut_bits) kept |= 1u << e;
  }
  visit_in_order<ELEMENTS>(group, scratch.counts, tied, [&](int e, unsigned position) {
    if (position < wanted) kept |= 1u << e;
  });
  return kept;
}

/// The boundary between the kept and the dropped values.
template <int THREADS, int ELEMENTS>
__device__ fp_cut describe_cut(const Group<THREADS> &group,
                               const TopScratch<THREADS, ELEMENTS> &scratch,
                               const unsigned long long (&keys)[ELEMENTS], unsigned num_values,
                               unsigned kept) {
  constexpr double kInfinity = double(INFINITY);
  // −kept, dropped, −min, max
  double ends[4] = {-kInfinity, -kInfinity, -kInfinity, -kInfinity};
  double counts[3] = {0.0, 0.0, 0.0};  // tied, tied and kept, dropped
#pragma unroll
  for (int e = 0; e < ELEMENTS; ++e) {
    if (e * THREADS + group.rank >= num_values) continue;
    const double value = value_of_key(keys[e]);
    if (kept >> e & 1)
      ends[0] = Max::combine(ends[0], -value);
    else
      ends[1] = Max::combine(ends[1], value);
    if (isfinite(value)) {
      ends[2] = Max::combine(ends[2], -value);
      ends[3] = Max::combine(ends[3], value);
    }
  }
  reduce<Max>(group, scratch.reduction, ends);
  const double last_kept = -ends[0];
#pragma unroll
  for (int e = 0; e < ELEMENTS; ++e) {
    if (e * THREADS + group.rank >= num_values) continue;
    const bool is_tied = value_of_key(keys[e]) == last_kept;
    counts[0] += is_tied;
    counts[1] += is_tied && (kept >> e & 1);
    counts[2] += !(kept >> e & 1);
  }
  reduce<Sum>(group, scratch.reduction, counts);
  const bool is_cut = counts[2] > 0.0;
  fp_cut cut;
  cut.last_kept = last_kept;
  cut.first_dropped = is_cut ? ends[1] : double(NAN);
  cut.min = -ends[2];
  cut.max = ends[3];
  cut.num_tied = is_cut ? unsigned(counts[0]) : 0;
  cut.num_tied_kept = is_cut ? unsigned(counts[1]) : 0;
  return cut;
}

}  // namespace fp
