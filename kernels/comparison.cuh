// What one block computes from the features and cosines of a sample's heads.
#pragma once

#include "top.cuh"

namespace fp {

constexpr unsigned kComparisonThreads = 256;
/// Part of the strategies' definitions: under softmax their results depend on it.
constexpr double kEpsilon = 1e-8;
/// `graph_based` connects heads whose cosine is larger.
constexpr double kEdgeCosine = 0.1;
/// Up to this many heads, `hierarchical` selects in a single stage.
constexpr unsigned kOneStageHeads = 8;

/// Features of one head's distribution p; `squares` and the following are 0 if it has none.
struct alignas(16) HeadFeatures {
  double has_distribution;
  double squares, entropy, max, variance;  // Σ p², −Σ p ln(p + ε), unbiased
  double share_above_mean, kurtosis, divergence;
};

/// Layout of the workspace, in doubles; features `[B, H]` come first.
struct ComparisonLayout {
  size_t p;        // [B, H, N]
  size_t cosines;  // [B, H, H]
  size_t num_doubles;

  explicit ComparisonLayout(const fp_compare_heads_args &args) {
    const size_t rows = size_t(args.batch_size) * args.num_heads;
    p = rows * (sizeof(HeadFeatures) / sizeof(double));
    cosines = p + rows * args.num_image_tokens;
    num_doubles = cosines + rows * args.num_heads;
  }
};

struct ComparisonKernelArgs {
  fp_compare_heads_args args;
  ComparisonLayout layout;
  uint32_t slot;  // index of the strategy in the scores
};

/// The heads of one sample; each thread below H holds one head.
class Comparison {
 public:
  static size_t bytes(unsigned num_image_tokens) {
    return (num_image_tokens + 1) * sizeof(double) + TopScratch<kComparisonThreads, 1>::kBytes +
           kExchange * sizeof(double);
  }

  __device__ Comparison(SharedArena &arena, const ComparisonKernelArgs &kernel, unsigned sample)
      : args_(kernel.args),
        group_(true),
        scratch_(arena, 0, 1),
        exchange_(arena.take<double>(kExchange)),
        centre_(arena.take<double>(kernel.args.num_image_tokens)),
        sample_(sample) {
    const size_t first = size_t(sample) * args_.num_heads;
    const Global<const double> workspace = global<const double>(args_.workspace);
    all_features_ = global<const HeadFeatures>(args_.workspace) + first;
    p_ = workspace + kernel.layout.p + first * args_.num_image_tokens;
    cosines_ = workspace + kernel.layout.cosines + first * args_.num_heads;
    own_ = HeadFeatures{};
    if (is_head()) own_ = all_features_[group_.rank];
  }

  __device__ bool has_distribution() const { return own_.has_distribution > 0.0; }

  /// 0.4·[0.7·n(E) + 0.3·n(κ)] + 0.3·n(d) + 0.3·n(Q), d the inverse mean cosine.
  __device__ double multi_objective() const {
    const bool counts = has_distribution();
    double distance = 0.0;
    if (counts) {
      double sum = 0.0;
      unsigned others = 0;
      for (unsigned other = 0; other < args_.num_heads; ++other)
        if (other != group_.rank && has(other)) {
          sum += cosine(other);
          ++others;
        }
      distance = 1.0 / (sum / (others > 1 ? others : 1) + kEpsilon);
    }
    const double entropy = scaled(own_.entropy, counts, kEpsilon);
    const double kurtosis = scaled(own_.kurtosis, counts, kEpsilon);
    const double distances = scaled(distance, counts, kEpsilon);
    const double squares = scaled(own_.squares, counts, kEpsilon);
    return 0.4 * (0.7 * entropy + 0.3 * kurtosis) + 0.3 * distances + 0.3 * squares;
  }

  /// Mean of five features after two rounds of X ← max(0, X + W X).
  __device__ double graph_based() const {
    double features[kNumFeatures] = {own_.squares, own_.entropy, own_.max, own_.variance,
                                     own_.share_above_mean};
    unsigned degree = 0;
    for (unsigned other = 0; has_distribution() && other < args_.num_heads; ++other)
      degree += is_neighbour(other);
    const double weight = 1.0 / (degree + kEpsilon);
    for (int round = 0; round < 2; ++round) {
      if (is_head())
        for (unsigned i = 0; i < kNumFeatures; ++i)
          exchange_[group_.rank * kNumFeatures + i] = features[i];
      group_.sync();
      double received[kNumFeatures] = {0.0, 0.0, 0.0, 0.0, 0.0};
      for (unsigned other = 0; has_distribution() && other < args_.num_heads; ++other)
        if (is_neighbour(other))
          for (unsigned i = 0; i < kNumFeatures; ++i)
            received[i] += weight * exchange_[other * kNumFeatures + i];
      for (unsigned i = 0; i < kNumFeatures; ++i)
        features[i] = Max::combine(0.0, features[i] + received[i]);
      group_.sync();
    }
    double sum = 0.0;
    for (unsigned i = 0; i < kNumFeatures; ++i) sum += features[i];
    return sum / kNumFeatures;
  }

  /// Selects candidates first, then ranks among them by a finer score; −∞ for all other heads.
  __device__ double hierarchical() const {
    const unsigned h = args_.num_selected_heads;
    if (args_.num_heads <= h || args_.num_heads <= kOneStageHeads) {
      write_coarse_cut(nullptr, 0);
      return 0.5 * own_.squares + 0.3 * own_.max + 0.2 * own_.variance;
    }
    const double spread = scaled(own_.entropy, has_distribution(), 0.0);
    const double coarse = has_distribution() ? 0.6 * own_.squares + 0.4 * (1.0 - spread)
                                             : -double(INFINITY);
    const unsigned wanted = 2 * h > h + 4 ? 2 * h : h + 4;
    const unsigned num_candidates = wanted < args_.num_heads ? wanted : args_.num_heads;
    const unsigned long long keys[1] = {ordered_key(coarse)};
    const unsigned kept = mark_top(group_, scratch_, keys, args_.num_heads, num_candidates);
    write_coarse_cut(&keys, kept);
    const bool is_candidate = kept && has_distribution();
    const double distance = distance_from_centre(is_candidate);
    const double entropies = scaled(own_.entropy, is_candidate, 0.0);
    const double divergences = scaled(own_.divergence, is_candidate, 0.0);
    const double distances = scaled(distance, is_candidate, 0.0);
    const double steadiness =
        scaled(1.0 / (sqrt(own_.variance) + kEpsilon), is_candidate, 0.0);
    const double fine =
        0.3 * entropies + 0.25 * divergences + 0.25 * distances + 0.2 * steadiness;
    return is_candidate ? fine : -double(INFINITY);
  }

 private:
  static constexpr unsigned kNumFeatures = 5;
  static constexpr unsigned kExchange = FP_MAX_HEADS * kNumFeatures;

  __device__ bool is_head() const { return group_.rank < args_.num_heads; }
  __device__ bool has(unsigned head) const {
    const HeadFeatures features = all_features_[head];
    return features.has_distribution > 0.0;
  }
  __device__ double cosine(unsigned other) const {
    return cosines_[size_t(group_.rank) * args_.num_heads + other];
  }
  __device__ bool is_neighbour(unsigned other) const {
    return other != group_.rank && has(other) && cosine(other) > kEdgeCosine;
  }

  /// (x − min x) / (max x − min x + ε) over the threads for which `counts` is true; 0 if that is
  /// 0/0.
  __device__ double scaled(double x, bool counts, double epsilon) const {
    double ends[2] = {counts ? x : -double(INFINITY), counts ? -x : -double(INFINITY)};
    reduce<Max>(group_, scratch_.reduction, ends);
    const double width = ends[0] + ends[1] + epsilon;
    return counts && width > 0.0 ? (x + ends[1]) / width : 0.0;
  }

  /// ‖u − mean u‖ over the candidates, u = p/‖p‖.
  __device__ double distance_from_centre(bool is_candidate) const {
    const unsigned n = args_.num_image_tokens;
    double count[1] = {is_candidate ? 1.0 : 0.0};
    reduce<Sum>(group_, scratch_.reduction, count);
    // Norms of the candidates; 0 for all others.
    if (is_head()) exchange_[group_.rank] = is_candidate ? sqrt(own_.squares) : 0.0;
    group_.sync();
    for (unsigned token = group_.rank; token < n; token += kComparisonThreads) {
      double sum = 0.0;
      for (unsigned head = 0; head < args_.num_heads; ++head) {
        const double norm = exchange_[head];
        if (norm > 0.0) sum += p_[size_t(head) * n + token] / norm / count[0];
      }
      centre_[token] = sum;
    }
    group_.sync();
    const Shared<double> distances = exchange_ + FP_MAX_HEADS;
    for (unsigned head = group_.warp(); head < args_.num_heads; head += group_.kWarps) {
      const double norm = exchange_[head];
      double sum = 0.0;
      for (unsigned token = group_.lane(); norm > 0.0 && token < n; token += kWarpSize) {
        const double difference = p_[size_t(head) * n + token] / norm - centre_[token];
        sum += difference * difference;
      }
      for (unsigned mask = kWarpSize / 2; mask > 0; mask /= 2) sum += shuffle_xor(sum, mask);
      if (group_.lane() == 0) distances[head] = sqrt(sum);
    }
    group_.sync();
    const double distance = is_head() ? double(distances[group_.rank]) : 0.0;
    group_.sync();
    return distance;
  }

  /// Writes the first of the two cuts; an empty cut if `keys` is null.
  __device__ void write_coarse_cut(const unsigned long long (*keys)[1], unsigned kept) const {
    if (!args_.coarse_cuts) return;
    fp_cut cut = {double(NAN), double(NAN), double(INFINITY), -double(INFINITY), 0, 0};
    if (keys) cut = describe_cut(group_, scratch_, *keys, args_.num_heads, kept);
    if (group_.rank == 0) global<fp_cut>(args_.coarse_cuts)[sample_] = cut;
  }

  const fp_compare_heads_args &args_;
  Group<kComparisonThreads> group_;
  TopScratch<kComparisonThreads, 1> scratch_;
  Shared<double> exchange_, centre_;
  Global<const HeadFeatures> all_features_;
  Global<const double> p_, cosines_;
  HeadFeatures own_;
  unsigned sample_;
};

}  // namespace fp
