// Scores of the strategies that use one head at a time.
#pragma once

#include "row_statistics.cuh"

namespace fp {

/// Keeps the softmax coverage of `weighted_quality` finite; results depend on it.
constexpr double kCoverageEpsilon = 1e-8;
static_assert(FP_SUM == 0 && FP_GINI_COEFFICIENT == 8, "`score` counts on their order");

/// Whether a head has a distribution: under softmax even a row of zeros has one.
__device__ inline bool has_distribution(const fp_head_statistics &head, unsigned normalization) {
  return normalization == FP_SOFTMAX || head.sum > 0.0;
}

__device__ inline double weighted_quality(const fp_head_statistics &head, unsigned normalization) {
  const double coverage = normalization == FP_SOFTMAX ? 1.0 / (head.p_count + kCoverageEpsilon)
                          : head.p_count > 0.0        ? 1.0 / head.p_count
                                                      : 0.0;
  return 0.4 * head.p_max + 0.4 * head.p_squares + 0.2 * coverage;
}

/// Selects one of nine values by `index`. They are passed by value: selecting between fields of a
/// structure makes nvcc keep it in local memory.
__device__ __forceinline__ double choose(unsigned index, double a, double b, double c, double d,
                                         double e, double f, double g, double h, double i) {
  const double low = index == 0 ? a : index == 1 ? b : index == 2 ? c : d;
  const double high = index == 4 ? e : index == 5 ? f : index == 6 ? g : index == 7 ? h : i;
  return index < 4 ? low : high;
}

/// The strategy's score, higher is better; −∞ for a head without a distribution.
__device__ __forceinline__ double score(unsigned strategy, const fp_head_statistics &head,
                                        unsigned normalization) {
  const double chosen = choose(strategy, head.sum, head.variance, -head.p_entropy, head.max,
                               head.max - head.min, head.p_squares, head.top_k_sum,
                               weighted_quality(head, normalization), head.gini);
  return has_distribution(head, normalization) ? chosen : -double(INFINITY);
}

/// Whether any of the strategies needs the sorted row.
inline bool needs_order(const fp_strategies &strategies) {
  for (unsigned i = 0; i < strategies.count; ++i)
    if (strategies.id[i] == FP_TOP_K_SUM || strategies.id[i] == FP_GINI_COEFFICIENT) return true;
  return false;
}

}  // namespace fp
