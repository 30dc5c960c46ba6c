// Sorting one row in the registers of a group.
#pragma once

#include "group.cuh"

namespace fp {

/// One comparator of a bitonic network: the smaller key goes to the lower index if ascending.
__device__ __forceinline__ void order(unsigned &low, unsigned &high, bool ascending) {
  const unsigned smaller = low < high ? low : high;
  const unsigned larger = low < high ? high : low;
  low = ascending ? smaller : larger;
  high = ascending ? larger : smaller;
}

/// All comparators of stride at most STRIDE that stay within one thread.
template <int ELEMENTS, int STRIDE>
__device__ __forceinline__ void order_own(unsigned (&keys)[ELEMENTS], unsigned first,
                                          unsigned length) {
  if constexpr (STRIDE > 0) {
    if (STRIDE < length)
#pragma unroll
      for (int e = 0; e < ELEMENTS; ++e)
        if ((e & STRIDE) == 0) order(keys[e], keys[e + STRIDE], ((first + e) & length) == 0);
    order_own<ELEMENTS, STRIDE / 2>(keys, first, length);
  }
}

/// Sorts THREADS · ELEMENTS keys ascending: thread r holds sorted keys r·ELEMENTS and following.
///
/// A bitonic network (K. Batcher, 1968): no branch depends on a key. Strides within a
/// thread are compared in registers, within a warp by shuffles, the few longer ones
/// through `buffer`, THREADS · ELEMENTS words laid out so that no banks conflict.
template <int THREADS, int ELEMENTS>
__device__ void sort(const Group<THREADS> &group, Shared<unsigned> buffer,
                     unsigned (&keys)[ELEMENTS]) {
  constexpr unsigned kAll = THREADS * ELEMENTS;
  constexpr unsigned kInWarp = kWarpSize * ELEMENTS;
  const unsigned first = group.rank * ELEMENTS;
  for (unsigned length = 2; length <= kAll; length *= 2) {
    unsigned stride = length / 2;
    const bool ascending = (first & length) == 0;  // for strides of whole threads
    for (; stride >= kInWarp; stride /= 2) {
      const unsigned partner = group.rank ^ (stride / ELEMENTS);
      const bool keep_smaller = (partner > group.rank) == ascending;
#pragma unroll
      for (int e = 0; e < ELEMENTS; ++e) buffer[e * THREADS + group.rank] = keys[e];
      group.sync();
#pragma unroll
      for (int e = 0; e < ELEMENTS; ++e) {
        const unsigned other = buffer[e * THREADS + partner];
        keys[e] = (other < keys[e]) == keep_smaller ? other : keys[e];
      }
      group.sync();
    }
    for (; stride >= ELEMENTS; stride /= 2) {
      const unsigned mask = stride / ELEMENTS;
      const bool keep_smaller = ((group.rank & mask) == 0) == ascending;
#pragma unroll
      for (int e = 0; e < ELEMENTS; ++e) {
        const unsigned other = shuffle_xor(keys[e], mask);
        keys[e] = (other < keys[e]) == keep_smaller ? other : keys[e];
      }
    }
    order_own<ELEMENTS, ELEMENTS / 2>(keys, first, length);
  }
}

}  // namespace fp
