// Selects heads, computes importance and keeps tokens, one block per sample and strategy.

#include "check.cuh"
#include "dispatch.cuh"
#include "selection.cuh"

namespace fp {
namespace {

/// Reports a sample in which no head attends to the image.
template <int THREADS>
__device__ void check_mass(const Group<THREADS> &group, Shared<double> scratch,
                           const fp_select_args &args, unsigned sample) {
  const Global<const fp_head_statistics> statistics =
      global<const fp_head_statistics>(args.statistics) + size_t(sample) * args.num_heads;
  double mass[1] = {0.0};
  if (group.rank < args.num_heads) {
    const fp_head_statistics head = statistics[group.rank];
    mass[0] = head.sum;
  }
  reduce<Max>(group, scratch, mass);
  if (mass[0] == 0.0 && group.rank == 0)
    report(global<unsigned long long>(args.error), FP_DATA_NO_ATTENTION, sample, 0);
}

/// Grid: strategies, samples.
template <class Format, int THREADS, int ELEMENTS>
__global__ void __launch_bounds__(THREADS, kMinBlocks)
    select_tokens(const __grid_constant__ fp_select_args args) {
  const Group<THREADS> group(true);
  SharedArena arena;
  const SelectionScratch<THREADS, ELEMENTS> scratch(arena, 0, 1);
  const unsigned strategy = blockIdx.x, sample = blockIdx.y;
  const size_t slot = size_t(sample) * args.num_strategies + strategy;
  if (args.statistics && strategy == 0) check_mass(group, scratch.top.reduction, args, sample);
  const Global<const typename Format::Stored> attention =
      global<const typename Format::Stored>(args.attention) +
      size_t(sample) * args.num_heads * args.num_image_tokens;
  const Global<const double> scores = global<const double>(args.scores) + slot * args.num_heads;
  const SelectionOutputs out = outputs_of(args.selection, slot, args.num_image_tokens);
  const SelectionSizes sizes = {args.num_heads, args.num_image_tokens,
                                args.selection.num_selected_heads,
                                args.selection.num_kept_tokens};
  select(
      group, scratch, sizes, [&](unsigned head) -> double { return scores[head]; },
      [&](unsigned head, unsigned token) -> double {
        return Format::widen(attention[size_t(head) * args.num_image_tokens + token]);
      },
      out);
}

}  // namespace
}  // namespace fp

int fp_select(const fp_select_args *args, void *stream) {
  using namespace fp;
  if (!args || !args->attention || !args->scores || !args->error)
    return FP_NULL_POINTER;
  FP_CHECK(check_sizes(args->batch_size, args->num_heads, args->num_image_tokens));
  if (!is_dtype(args->dtype)) return FP_BAD_DTYPE;
  FP_CHECK(check_selection(args->selection, args->num_heads, args->num_image_tokens));
  if (args->num_strategies == 0 || args->num_strategies > FP_NUM_STRATEGIES)
    return FP_BAD_STRATEGY;
  return for_row_shape(args->num_image_tokens, [&](auto shape) {
    constexpr int kThreads = shape.kThreads, kElements = shape.kElements;
    const LaunchShape launch_shape = {dim3(args->num_strategies, args->batch_size),
                                      unsigned(kThreads),
                                      SelectionScratch<kThreads, kElements>::kBytes, 1};
    return for_format(args->dtype, [&](auto format) {
      return launch(select_tokens<decltype(format), kThreads, kElements>, launch_shape, stream,
                    *args);
    });
  });
}
