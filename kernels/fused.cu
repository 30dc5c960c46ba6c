// Scoring and selection in one launch: a cluster of blocks per sample.
//
// Each block of the cluster scores every kClusterSize-th head, with a group of threads per head,
// and keeps those rows and scores in its shared memory. After the cluster's barrier each group
// takes one strategy and reads the scores and rows of all heads from the blocks' shared memory.
// Attention is read from global memory once.

#include "check.cuh"
#include "dispatch.cuh"
#include "scores.cuh"
#include "selection.cuh"

namespace fp {
namespace {

constexpr unsigned kClusterSize = 8;  // the largest size that every device with clusters supports
constexpr unsigned kBlockThreads = 512;
/// Most heads per block. With the longest rows their shared memory is 64 KiB.
constexpr unsigned kMaxHeadsOfBlock = 8;
/// Longer rows need more registers than the threads of such a block have.
constexpr unsigned kMaxTokens = 2048;

/// A batch whose clusters wait for others takes longer than two launches that fill the device: an
/// estimate until both have been timed on one.
inline bool is_one_wave(unsigned batch_size) {
  return size_t(kClusterSize) * batch_size <= num_multiprocessors();
}

struct FusedKernelArgs {
  fp_fused_args args;
  bool needs_order;
  unsigned heads_of_block;  // rows that each block holds: ⌈H / kClusterSize⌉
};

template <int THREADS, int ELEMENTS> constexpr unsigned fused_bytes(const FusedKernelArgs &kernel) {
  const unsigned heads = kernel.heads_of_block;
  return kBlockThreads / THREADS *
             (RowScratch<THREADS, ELEMENTS>::kBytes +
              SelectionScratch<THREADS, ELEMENTS>::kBytes) +
         heads * ((kernel.args.num_image_tokens + 3) & ~3u) * unsigned(sizeof(float)) +
         (heads + 1) * (kernel.args.strategies.count + 1) * unsigned(sizeof(double));
}

#if FP_HAS_CLUSTERS
/// Data that the blocks of a cluster share: rows, sums and scores of their own heads.
struct ClusterHeads {
  Shared<float> rows;     // [heads_of_block, N], N rounded up to 4
  Shared<double> sums;    // [heads_of_block]
  Shared<double> scores;  // [strategies, heads_of_block]
  unsigned row_stride, heads_of_block;

  __device__ ClusterHeads(SharedArena &arena, const FusedKernelArgs &kernel)
      : row_stride((kernel.args.num_image_tokens + 3) & ~3u),
        heads_of_block(kernel.heads_of_block) {
    rows = arena.take<float>(heads_of_block * row_stride);
    sums = arena.take<double>(heads_of_block);
    scores = arena.take<double>(kernel.args.strategies.count * heads_of_block);
  }
  __device__ float value(unsigned head, unsigned token) const {
    return on_rank(rows, head % kClusterSize)[head / kClusterSize * row_stride + token];
  }
  __device__ double sum(unsigned head) const {
    return on_rank(sums, head % kClusterSize)[head / kClusterSize];
  }
  __device__ double score(unsigned strategy, unsigned head) const {
    return on_rank(scores, head % kClusterSize)[strategy * heads_of_block + head / kClusterSize];
  }
};

/// Scores one head; stores its row, sum and scores where the cluster reads them.
template <int THREADS, int ELEMENTS>
__device__ void score_head(const Group<THREADS> &group,
                           const RowScratch<THREADS, ELEMENTS> &scratch, const ClusterHeads &heads,
                           const FusedKernelArgs &kernel, unsigned sample, unsigned head) {
  const fp_fused_args &args = kernel.args;
  const unsigned row_index = sample * args.num_heads + head;
  const unsigned slot = head / kClusterSize;
  const Row<THREADS, ELEMENTS> row(group, Values(args.attention, args.dtype), row_index,
                                   args.num_image_tokens,
                                   global<unsigned long long>(args.error));
#pragma unroll
  for (int e = 0; e < ELEMENTS; ++e) {
    const unsigned token = row.token(group, e);
    if (token < args.num_image_tokens) heads.rows[slot * heads.row_stride + token] = row.values[e];
  }
  const fp_head_statistics statistics =
      row_statistics(group, scratch, row, args.normalization, kernel.needs_order);
  if (group.rank < args.strategies.count) {
    const double value = score(args.strategies.id[group.rank], statistics, args.normalization);
    heads.scores[group.rank * heads.heads_of_block + slot] = value;
    const size_t out = size_t(sample) * args.strategies.count + group.rank;
    global<double>(args.scores)[out * args.num_heads + head] = value;
  }
  if (group.rank == 0) {
    heads.sums[slot] = statistics.sum;
    if (args.statistics) global<fp_head_statistics>(args.statistics)[row_index] = statistics;
  }
}

template <int THREADS, int ELEMENTS>
__device__ void select_for(const Group<THREADS> &group,
                           const SelectionScratch<THREADS, ELEMENTS> &scratch,
                           const ClusterHeads &heads, const fp_fused_args &args, unsigned sample,
                           unsigned strategy) {
  const size_t slot = size_t(sample) * args.strategies.count + strategy;
  const SelectionOutputs out = outputs_of(args.selection, slot, args.num_image_tokens);
  const SelectionSizes sizes = {args.num_heads, args.num_image_tokens,
                                args.selection.num_selected_heads,
                                args.selection.num_kept_tokens};
  select(
      group, scratch, sizes,
      [&](unsigned head) -> double { return heads.score(strategy, head); },
      [&](unsigned head, unsigned token) -> double { return heads.value(head, token); }, out);
}
#endif

template <int THREADS, int ELEMENTS>
__global__ void __launch_bounds__(kBlockThreads, kMinBlocks)
    fused(const __grid_constant__ FusedKernelArgs kernel) {
#if FP_HAS_CLUSTERS
  constexpr unsigned kGroups = kBlockThreads / THREADS;
  const fp_fused_args &args = kernel.args;
  const Group<THREADS> group(kGroups == 1);
  SharedArena arena;
  const RowScratch<THREADS, ELEMENTS> row_scratch(arena, group.index, kGroups);
  const SelectionScratch<THREADS, ELEMENTS> scratch(arena, group.index, kGroups);
  const ClusterHeads heads(arena, kernel);
  const unsigned rank = cluster_rank(), sample = blockIdx.y;
  for (unsigned head = rank + kClusterSize * group.index; head < args.num_heads;
       head += kClusterSize * kGroups)
    score_head(group, row_scratch, heads, kernel, sample, head);
  cluster_sync();
  if (!args.allow_degenerate && rank == 0 && threadIdx.x == 0) {
    bool has_mass = false;
    for (unsigned head = 0; head < args.num_heads; ++head) has_mass |= !(heads.sum(head) == 0.0);
    if (!has_mass)
      report(global<unsigned long long>(args.error), FP_DATA_NO_ATTENTION, sample, 0);
  }
  for (unsigned strategy = rank + kClusterSize * group.index; strategy < args.strategies.count;
       strategy += kClusterSize * kGroups)
    select_for(group, scratch, heads, args, sample, strategy);
  cluster_sync();  // no block may leave while another reads its memory
#endif
}

int launch_two(const fp_fused_args &args, void *stream) {
  fp_head_score_args score = {};
  score.attention = args.attention;
  score.scores = args.scores;
  score.statistics = args.statistics;
  score.error = args.error;
  score.batch_size = args.batch_size;
  score.num_heads = args.num_heads;
  score.num_image_tokens = args.num_image_tokens;
  score.dtype = args.dtype;
  score.normalization = args.normalization;
  score.strategies = args.strategies;
  FP_CHECK(fp_head_score(&score, stream));
  fp_select_args select = {};
  select.attention = args.attention;
  select.scores = args.scores;
  select.statistics = args.allow_degenerate ? nullptr : args.statistics;
  select.selection = args.selection;
  select.error = args.error;
  select.batch_size = args.batch_size;
  select.num_heads = args.num_heads;
  select.num_image_tokens = args.num_image_tokens;
  select.num_strategies = args.strategies.count;
  select.dtype = args.dtype;
  return fp_select(&select, stream);
}

int launch_cluster(const fp_fused_args &args, void *stream) {
  return for_row_shape(args.num_image_tokens, [&](auto shape) {
    constexpr int kThreads = shape.kThreads, kElements = shape.kElements;
    if constexpr (kThreads * kElements > int(kMaxTokens)) {
      return int(FP_TOO_LARGE);
    } else {
      const FusedKernelArgs kernel = {args, needs_order(args.strategies),
                                      (args.num_heads + kClusterSize - 1) / kClusterSize};
      const LaunchShape launch_shape = {dim3(kClusterSize, args.batch_size),
                                        kBlockThreads,
                                        fused_bytes<kThreads, kElements>(kernel), kClusterSize};
      return launch(fused<kThreads, kElements>, launch_shape, stream, kernel);
    }
  });
}

}  // namespace
}  // namespace fp

int fp_fused(const fp_fused_args *args, void *stream) {
  using namespace fp;
  if (!args || !args->attention || !args->scores || !args->error)
    return FP_NULL_POINTER;
  if (!args->statistics && !args->allow_degenerate) return FP_NULL_POINTER;
  FP_CHECK(check_sizes(args->batch_size, args->num_heads, args->num_image_tokens));
  if (!is_dtype(args->dtype)) return FP_BAD_DTYPE;
  if (args->normalization > FP_SOFTMAX || args->path > FP_PATH_TWO) return FP_BAD_OPTION;
  FP_CHECK(check_selection(args->selection, args->num_heads, args->num_image_tokens));
  FP_CHECK(check_strategies(args->strategies, FP_NUM_OWN_STRATEGIES));
  const bool fits_cluster = args->num_heads <= kClusterSize * kMaxHeadsOfBlock &&
                            args->num_image_tokens <= kMaxTokens;
  if (args->path == FP_PATH_CLUSTER) {
    if (!fits_cluster) return FP_TOO_LARGE;
    if (!device_has_clusters()) return FP_BAD_OPTION;
  }
  const bool by_cluster =
      args->path == FP_PATH_CLUSTER ||
      (args->path == FP_PATH_AUTO && fits_cluster && device_has_clusters() &&
       is_one_wave(args->batch_size));
  return by_cluster ? launch_cluster(*args, stream) : launch_two(*args, stream);
}
