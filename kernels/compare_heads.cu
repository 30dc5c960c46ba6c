// Scores of the strategies that compare heads with each other.
//
// Computes each head's distribution and features, then the cosines of each pair of heads, then
// for each strategy one block per sample that combines them. All in f64: under softmax the heads
// differ by less than f32 resolves.

#include "check.cuh"
#include "comparison.cuh"
#include "dispatch.cuh"
#include "row_statistics.cuh"

namespace fp {
namespace {

/// Grid: heads, samples. The distribution of a row and the features that the strategies need.
template <int THREADS, int ELEMENTS>
__global__ void __launch_bounds__(THREADS, kMinBlocks)
    distributions(const __grid_constant__ ComparisonKernelArgs kernel) {
  const fp_compare_heads_args &args = kernel.args;
  const Group<THREADS> group(true);
  SharedArena arena;
  const Shared<double> scratch = arena.take<double>(Group<THREADS>::kWarps * kReduceValues);
  const unsigned row_index = blockIdx.y * args.num_heads + blockIdx.x;
  const unsigned n = args.num_image_tokens;
  const Row<THREADS, ELEMENTS> row(group, Values(args.attention, args.dtype), row_index, n,
                                   global<unsigned long long>(args.error));
  double p[ELEMENTS];
  double largest[1] = {0.0};
#pragma unroll
  for (int e = 0; e < ELEMENTS; ++e) largest[0] = Max::combine(largest[0], row.values[e]);
  reduce<Max>(group, scratch, largest);
  double total[1] = {0.0};
#pragma unroll
  for (int e = 0; e < ELEMENTS; ++e) {
    const double a = row.values[e];
    const double weight = args.normalization == FP_SOFTMAX ? exp(a - largest[0]) : a;
    p[e] = row.token(group, e) < n ? weight : 0.0;
    total[0] += p[e];
  }
  reduce<Sum>(group, scratch, total);
  double mean[1] = {0.0};
  const Global<double> out = global<double>(args.workspace) + kernel.layout.p;
#pragma unroll
  for (int e = 0; e < ELEMENTS; ++e) {
    p[e] = total[0] > 0.0 ? p[e] / total[0] : 0.0;
    mean[0] += p[e];
    const unsigned token = row.token(group, e);
    if (token < n) out[size_t(row_index) * n + token] = p[e];
  }
  reduce<Sum>(group, scratch, mean);
  mean[0] /= n;
  const double uniform = 1.0 / n + kEpsilon;
  double sums[6] = {0.0, 0.0, 0.0, 0.0, 0.0, 0.0};  // −E, Q, Σd², Σd⁴, above the mean, D
#pragma unroll
  for (int e = 0; e < ELEMENTS; ++e)
    if (row.token(group, e) < n) {
      const double square = (p[e] - mean[0]) * (p[e] - mean[0]);
      sums[0] += p[e] * log(p[e] + kEpsilon);
      sums[1] += p[e] * p[e];
      sums[2] += square;
      sums[3] += square * square;
      sums[4] += p[e] > mean[0] ? 1.0 : 0.0;
      sums[5] += p[e] * log(p[e] / uniform + kEpsilon);
    }
  reduce<Sum>(group, scratch, sums);
  double max_p[1] = {0.0};
#pragma unroll
  for (int e = 0; e < ELEMENTS; ++e) max_p[0] = Max::combine(max_p[0], p[e]);
  reduce<Max>(group, scratch, max_p);
  if (group.rank != 0) return;
  HeadFeatures features;
  features.has_distribution = total[0] > 0.0 ? 1.0 : 0.0;
  features.squares = sums[1];
  features.entropy = -sums[0];
  features.max = max_p[0];
  features.variance = n > 1 ? sums[2] / (n - 1.0) : 0.0;
  features.share_above_mean = sums[4] / n;
  const double second = sums[2] / n, fourth = sums[3] / n;
  features.kurtosis = fourth / (second * second + kEpsilon);
  features.divergence = sums[5];
  global<HeadFeatures>(args.workspace)[row_index] = features;
}

/// Grid: heads, samples. Cosines between one head and all heads, one warp per pair.
__global__ void __launch_bounds__(kComparisonThreads, kMinBlocks)
    cosines(const __grid_constant__ ComparisonKernelArgs kernel) {
  const fp_compare_heads_args &args = kernel.args;
  const Group<kComparisonThreads> group(true);
  const unsigned n = args.num_image_tokens;
  const unsigned first = blockIdx.y * args.num_heads, head = blockIdx.x;
  const Global<const HeadFeatures> features = global<const HeadFeatures>(args.workspace) + first;
  const Global<const double> p =
      global<const double>(args.workspace) + kernel.layout.p + size_t(first) * n;
  const Global<double> out = global<double>(args.workspace) + kernel.layout.cosines;
  const HeadFeatures own = features[head];
  for (unsigned other = group.warp(); other < args.num_heads; other += group.kWarps) {
    double product = 0.0;
    for (unsigned token = group.lane(); token < n; token += kWarpSize)
      product += p[size_t(head) * n + token] * p[size_t(other) * n + token];
#pragma unroll
    for (unsigned mask = kWarpSize / 2; mask > 0; mask /= 2) product += shuffle_xor(product, mask);
    const HeadFeatures others = features[other];
    if (group.lane() == 0)
      out[size_t(first + head) * args.num_heads + other] =
          product / (sqrt(own.squares) * sqrt(others.squares));
  }
}

/// Grid: samples. One thread per head; one kernel per strategy keeps the register count low.
template <unsigned STRATEGY>
__global__ void __launch_bounds__(kComparisonThreads, kMinBlocks)
    compare(const __grid_constant__ ComparisonKernelArgs kernel) {
  const fp_compare_heads_args &args = kernel.args;
  SharedArena arena;
  const Comparison comparison(arena, kernel, blockIdx.x);
  double score;
  if constexpr (STRATEGY == FP_MULTI_OBJECTIVE)
    score = comparison.multi_objective();
  else if constexpr (STRATEGY == FP_GRAPH_BASED)
    score = comparison.graph_based();
  else
    score = comparison.hierarchical();
  const size_t row = size_t(blockIdx.x) * args.strategies.count + kernel.slot;
  if (threadIdx.x < args.num_heads)
    global<double>(args.scores)[row * args.num_heads + threadIdx.x] =
        comparison.has_distribution() ? score : -double(INFINITY);
}

/// Launches the comparison for the strategy in `slot`, if it compares heads.
int launch_comparison(ComparisonKernelArgs kernel, uint32_t slot, void *stream) {
  kernel.slot = slot;
  const LaunchShape samples = {dim3(kernel.args.batch_size), kComparisonThreads,
                               Comparison::bytes(kernel.args.num_image_tokens), 1};
  switch (kernel.args.strategies.id[slot]) {
    case FP_MULTI_OBJECTIVE: return launch(compare<FP_MULTI_OBJECTIVE>, samples, stream, kernel);
    case FP_GRAPH_BASED: return launch(compare<FP_GRAPH_BASED>, samples, stream, kernel);
    case FP_HIERARCHICAL: return launch(compare<FP_HIERARCHICAL>, samples, stream, kernel);
    default: return FP_OK;
  }
}

int check(const fp_compare_heads_args &args) {
  FP_CHECK(check_sizes(args.batch_size, args.num_heads, args.num_image_tokens));
  return size_t(args.batch_size) * args.num_heads <= UINT32_MAX ? FP_OK : FP_TOO_LARGE;
}

}  // namespace
}  // namespace fp

size_t fp_compare_heads_workspace(const fp_compare_heads_args *args) {
  using namespace fp;
  return args && check(*args) == FP_OK ? ComparisonLayout(*args).num_doubles * sizeof(double) : 0;
}

int fp_compare_heads(const fp_compare_heads_args *args, void *stream) {
  using namespace fp;
  if (!args || !args->attention || !args->scores || !args->workspace || !args->error)
    return FP_NULL_POINTER;
  FP_CHECK(check(*args));
  if (!is_dtype(args->dtype)) return FP_BAD_DTYPE;
  if (args->normalization > FP_SOFTMAX) return FP_BAD_OPTION;
  FP_CHECK(check_count(args->num_selected_heads, args->num_heads));
  FP_CHECK(check_strategies(args->strategies, FP_NUM_STRATEGIES));
  for (uint32_t i = 0; i < args->strategies.count; ++i)
    if (args->strategies.id[i] == FP_MULTI_OBJECTIVE && args->num_heads < 2)
      return FP_BAD_STRATEGY;
  if (!is_aligned(args->workspace)) return FP_MISALIGNED;
  const ComparisonKernelArgs kernel = {*args, ComparisonLayout(*args), 0};
  if (args->workspace_bytes < kernel.layout.num_doubles * sizeof(double))
    return FP_WORKSPACE_TOO_SMALL;
  const dim3 heads(args->num_heads, args->batch_size);
  FP_CHECK(for_row_shape(args->num_image_tokens, [&](auto shape) {
    constexpr int kThreads = shape.kThreads, kElements = shape.kElements;
    const size_t bytes = Group<kThreads>::kWarps * kReduceValues * sizeof(double);
    return launch(distributions<kThreads, kElements>,
                  LaunchShape{heads, unsigned(kThreads), bytes, 1}, stream, kernel);
  }));
  FP_CHECK(launch(cosines, LaunchShape{heads, kComparisonThreads, 0, 1}, stream, kernel));
  for (uint32_t slot = 0; slot < args->strategies.count; ++slot)
    FP_CHECK(launch_comparison(kernel, slot, stream));
  return FP_OK;
}
