// Scores of the strategies that look at one head at a time.
#pragma once

#include "row_statistics.cuh"

namespace fp {

/// Keeps the softmax coverage of `weighted_quality` finite; results depend on it.
constexpr double kCoverageEpsilon = 1e-8;

/// Whether a head has a distribution: under softmax even zeros have one.
__device__ inline bool has_distribution(const fp_head_statistics &head, unsigned normalization) {
  return normalization == FP_SOFTMAX || head.sum > 0.0;
}

__device__ inline double weighted_quality(const fp_head_statistics &head, unsigned normalization) {
  const double coverage = normalization == FP_SOFTMAX ? 1.0 / (head.p_count + kCoverageEpsilon)
                          : head.p_count > 0.0        ? 1.0 / head.p_count
                                                      : 0.0;
  return 0.4 * head.p_max + 0.4 * head.p_squares + 0.2 * coverage;
}

/// Higher is better; −∞ for a head without a distribution.
__device__ inline double score(unsigned strategy, const fp_head_statistics &head,
                               unsigned normalization) {
  if (!has_distribution(head, normalization)) return -double(INFINITY);
  // A chain rather than a switch, which nvcc makes an array in local memory.
  return strategy == FP_SUM               ? head.sum
         : strategy == FP_VARIANCE        ? head.variance
         : strategy == FP_ENTROPY         ? -head.p_entropy
         : strategy == FP_MAX_ATTENTION   ? head.max
         : strategy == FP_ATTENTION_RANGE ? head.max - head.min
         : strategy == FP_SPARSITY        ? head.p_squares
         : strategy == FP_TOP_K_SUM       ? head.top_k_sum
         : strategy == FP_WEIGHTED_QUALITY ? weighted_quality(head, normalization)
                                          : head.gini;
}

/// Whether any of the strategies needs the row sorted.
inline bool needs_order(const fp_strategies &strategies) {
  for (unsigned i = 0; i < strategies.count; ++i)
    if (strategies.id[i] == FP_TOP_K_SUM || strategies.id[i] == FP_GINI_COEFFICIENT) return true;
  return false;
}

}  // namespace fp
