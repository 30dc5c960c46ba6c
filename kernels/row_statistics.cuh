// All statistics of one attention row in one read of it.
#pragma once

#include "sort.cuh"

namespace fp {

/// How many of the largest values `top_k_sum` adds.
constexpr unsigned kTopK = 10;
/// A token counts as covered if its p exceeds this.
constexpr double kCoverageThreshold = 0.01;

/// Shared memory of a group while it works on a row.
template <int THREADS, int ELEMENTS> struct RowScratch {
  Shared<double> reduction;
  Shared<unsigned> keys;

  static constexpr unsigned kBytes =
      Group<THREADS>::kWarps * kReduceValues * sizeof(double) +
      THREADS * ELEMENTS * sizeof(unsigned);

  __device__ RowScratch(SharedArena &arena, unsigned group, unsigned num_groups) {
    constexpr unsigned kReduction = Group<THREADS>::kWarps * kReduceValues;
    reduction = arena.take<double>(num_groups * kReduction) + group * kReduction;
    keys = arena.take<unsigned>(num_groups * THREADS * ELEMENTS) + group * THREADS * ELEMENTS;
  }
};

/// The row held by a group: element e of thread r is token e·THREADS + r.
template <int THREADS, int ELEMENTS> struct Row {
  float values[ELEMENTS];
  unsigned num_tokens;

  __device__ static unsigned token(const Group<THREADS> &group, int e) {
    return e * THREADS + group.rank;
  }

  /// Reads row `row` of `[rows, N]` and reports the first value that is not valid attention.
  __device__ Row(const Group<THREADS> &group, const Values &attention, unsigned row,
                 unsigned num_tokens, Global<unsigned long long> error)
      : num_tokens(num_tokens) {
    attention.load(size_t(row) * num_tokens + group.rank, THREADS,
                   steps_below(group.rank, num_tokens, THREADS), values);
    // Checked after all loads: a check between two loads would wait for the first.
    int bad = -1;
#pragma unroll
    for (int e = ELEMENTS - 1; e >= 0; --e) {
      if (!is_attention(values[e])) bad = e;
      values[e] += 0.0f;  // −0 becomes 0
    }
    if (bad >= 0) report(error, FP_DATA_INVALID_ATTENTION, row, token(group, bad));
  }
};

/// Top-k sum and Gini coefficient from the sorted row. A softmax keeps the order, so the sorted
/// row gives the sorted distribution; the Gini coefficient is independent of its scale.
template <int THREADS, int ELEMENTS>
__device__ void order_statistics(const Group<THREADS> &group,
                                 const RowScratch<THREADS, ELEMENTS> &scratch,
                                 const Row<THREADS, ELEMENTS> &row, unsigned normalization,
                                 fp_head_statistics &statistics) {
  constexpr unsigned kNone = 0xffffffffu;  // above every key of a value
  const unsigned n = row.num_tokens;
  unsigned keys[ELEMENTS];
#pragma unroll
  for (int e = 0; e < ELEMENTS; ++e)  // bits of nonnegative values have the same order
    keys[e] = row.token(group, e) < n ? float_to_bits(row.values[e]) : kNone;
  sort(group, scratch.keys, keys);
  double sums[3] = {0.0, 0.0, 0.0};  // weighted, mass, top k
#pragma unroll
  for (int e = 0; e < ELEMENTS; ++e) {
    const unsigned rank = group.rank * ELEMENTS + e;
    if (rank < n) {
      const double a = bits_to_float(keys[e]);
      const double value = normalization == FP_SOFTMAX ? exp(a - statistics.max) : a;
      sums[0] += (2.0 * rank + 1.0 - n) * value;
      sums[1] += value;
      if (rank + kTopK >= n) sums[2] += a;
    }
  }
  reduce<Sum>(group, scratch.reduction, sums);
  statistics.gini = sums[1] > 0.0 ? sums[0] / (n * sums[1]) : 0.0;
  statistics.top_k_sum = sums[2];
}

/// The statistics of p = a / Σ a.
template <int THREADS, int ELEMENTS>
__device__ void l1_statistics(const Group<THREADS> &group,
                              const RowScratch<THREADS, ELEMENTS> &scratch,
                              const Row<THREADS, ELEMENTS> &row, fp_head_statistics &statistics) {
  double sums[4] = {0.0, 0.0, 0.0, 0.0};  // deviations, squares, p ln p, count
#pragma unroll
  for (int e = 0; e < ELEMENTS; ++e)
    if (row.token(group, e) < row.num_tokens) {
      const double a = row.values[e];
      const double deviation = a - statistics.mean;
      sums[0] += deviation * deviation;
      if (a > 0.0) {
        const double p = a / statistics.sum;
        sums[1] += p * p;
        sums[2] += p > 0.0 ? p * log(p) : 0.0;
        sums[3] += p > kCoverageThreshold ? 1.0 : 0.0;
      }
    }
  reduce<Sum>(group, scratch.reduction, sums);
  statistics.variance = row.num_tokens > 1 ? sums[0] / (row.num_tokens - 1.0) : 0.0;
  statistics.p_max = statistics.sum > 0.0 ? statistics.max / statistics.sum : 0.0;
  statistics.p_squares = sums[1];
  statistics.p_entropy = -sums[2];
  statistics.p_count = sums[3];
}

/// The statistics of p = exp(a − max a) / Z. Entropy is ln Z − Σ p (a − max a), which
/// keeps the small differences between nearly uniform rows.
template <int THREADS, int ELEMENTS>
__device__ void softmax_statistics(const Group<THREADS> &group,
                                   const RowScratch<THREADS, ELEMENTS> &scratch,
                                   const Row<THREADS, ELEMENTS> &row,
                                   fp_head_statistics &statistics) {
  double weights[ELEMENTS];
  double total[1] = {0.0};
#pragma unroll
  for (int e = 0; e < ELEMENTS; ++e) {
    const bool is_token = row.token(group, e) < row.num_tokens;
    weights[e] = is_token ? exp(row.values[e] - statistics.max) : 0.0;
    total[0] += weights[e];
  }
  reduce<Sum>(group, scratch.reduction, total);
  const double z = total[0];
  double sums[4] = {0.0, 0.0, 0.0, 0.0};  // deviations, squares, p (a − max), count
#pragma unroll
  for (int e = 0; e < ELEMENTS; ++e)
    if (row.token(group, e) < row.num_tokens) {
      const double a = row.values[e];
      const double deviation = a - statistics.mean;
      const double p = weights[e] / z;
      sums[0] += deviation * deviation;
      sums[1] += p * p;
      sums[2] += p * (a - statistics.max);
      sums[3] += p > kCoverageThreshold ? 1.0 : 0.0;
    }
  reduce<Sum>(group, scratch.reduction, sums);
  statistics.variance = row.num_tokens > 1 ? sums[0] / (row.num_tokens - 1.0) : 0.0;
  statistics.p_max = 1.0 / z;
  statistics.p_squares = sums[1];
  statistics.p_entropy = log(z) - sums[2];
  statistics.p_count = sums[3];
}

/// The statistics of a row, equal in all threads of the group.
template <int THREADS, int ELEMENTS>
__device__ fp_head_statistics row_statistics(const Group<THREADS> &group,
                                             const RowScratch<THREADS, ELEMENTS> &scratch,
                                             const Row<THREADS, ELEMENTS> &row,
                                             unsigned normalization, bool needs_order) {
  fp_head_statistics statistics;
  double sum[1] = {0.0};
  double extremes[2] = {0.0, -double(INFINITY)};  // max, −min: no attention is below 0
#pragma unroll
  for (int e = 0; e < ELEMENTS; ++e)
    if (row.token(group, e) < row.num_tokens) {
      const double a = row.values[e];
      sum[0] += a;
      extremes[0] = Max::combine(extremes[0], a);
      extremes[1] = Max::combine(extremes[1], -a);
    }
  reduce<Sum>(group, scratch.reduction, sum);
  reduce<Max>(group, scratch.reduction, extremes);
  statistics.sum = sum[0];
  statistics.mean = sum[0] / row.num_tokens;
  statistics.max = extremes[0];
  statistics.min = -extremes[1] + 0.0;
  if (normalization == FP_SOFTMAX)
    softmax_statistics(group, scratch, row, statistics);
  else
    l1_statistics(group, scratch, row, statistics);
  statistics.gini = statistics.top_k_sum = double(NAN);
  if (needs_order) order_statistics(group, scratch, row, normalization, statistics);
  return statistics;
}

}  // namespace fp
