// Statistics and scores of heads, one block per row.

#include "check.cuh"
#include "dispatch.cuh"
#include "scores.cuh"

namespace fp {
namespace {

struct HeadScoreKernelArgs {
  fp_head_score_args args;
  bool needs_order;
};

template <int THREADS, int ELEMENTS>
__global__ void __launch_bounds__(THREADS, kMinBlocks)
    head_score(const __grid_constant__ HeadScoreKernelArgs kernel) {
  const fp_head_score_args &args = kernel.args;
  const Group<THREADS> group(true);
  SharedArena arena;
  const RowScratch<THREADS, ELEMENTS> scratch(arena, 0, 1);
  const unsigned head = blockIdx.x, sample = blockIdx.y;
  const unsigned row_index = sample * args.num_heads + head;
  const Row<THREADS, ELEMENTS> row(group, Values(args.attention, args.dtype), row_index,
                                   args.num_image_tokens,
                                   global<unsigned long long>(args.error));
  const fp_head_statistics statistics =
      row_statistics(group, scratch, row, args.normalization, kernel.needs_order);
  if (group.rank < args.strategies.count) {
    const unsigned strategy = args.strategies.id[group.rank];
    if (strategy < FP_NUM_OWN_STRATEGIES) {
      const size_t slot = size_t(sample) * args.strategies.count + group.rank;
      global<double>(args.scores)[slot * args.num_heads + head] =
          score(strategy, statistics, args.normalization);
    }
  }
  if (args.statistics && group.rank == 0)
    global<fp_head_statistics>(args.statistics)[row_index] = statistics;
}

}  // namespace
}  // namespace fp

int fp_head_score(const fp_head_score_args *args, void *stream) {
  using namespace fp;
  if (!args || !args->attention || !args->scores || !args->error) return FP_NULL_POINTER;
  FP_CHECK(check_sizes(args->batch_size, args->num_heads, args->num_image_tokens));
  if (!is_dtype(args->dtype)) return FP_BAD_DTYPE;
  if (args->normalization > FP_SOFTMAX) return FP_BAD_OPTION;
  FP_CHECK(check_strategies(args->strategies, FP_NUM_STRATEGIES));
  return for_row_shape(args->num_image_tokens, [&](auto shape) {
    constexpr int kThreads = shape.kThreads, kElements = shape.kElements;
    const LaunchShape launch_shape = {dim3(args->num_heads, args->batch_size), unsigned(kThreads),
                                      RowScratch<kThreads, kElements>::kBytes, 1};
    return launch(head_score<kThreads, kElements>, launch_shape, stream,
                  HeadScoreKernelArgs{*args, needs_order(args->strategies)});
  });
}
