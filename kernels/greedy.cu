// For each sequence, the token with the largest logit, its margin, and whether all logits are
// finite.
//
// The host needs twelve bytes of a sequence's logits, for all sequences in one copy. A block
// takes one sequence: its threads pass over the vocabulary with several 16-byte loads in flight,
// each keeping its two largest values, and then combine them. Largest value, lowest index and
// second largest value don't depend on the order in which they are found, so results are
// independent of it.

#include "check.cuh"
#include "elements.cuh"
#include "group.cuh"

namespace fp {
namespace {

constexpr int kThreads = 1024;
constexpr int kPacks = 4;
constexpr unsigned kNone = 0xffffffffu;

/// The two largest of some logits, and the lowest index of the largest.
struct Leaders {
  float first = -float(INFINITY), second = -float(INFINITY);
  unsigned index = kNone;

  /// Adds a logit whose index is above all earlier ones.
  __device__ __forceinline__ void see(float logit, unsigned at) {
    if (logit > first) {
      second = first;
      first = logit;
      index = at;
    } else if (logit > second) {
      second = logit;
    }
  }
  __device__ __forceinline__ void merge(float other_first, float other_second,
                                        unsigned other_index) {
    const float lower = other_first < first ? other_first : first;
    second = other_second > second ? other_second : second;
    second = lower > second ? lower : second;
    if (other_first > first || (other_first == first && other_index < index)) index = other_index;
    first = other_first > first ? other_first : first;
  }
};

struct GreedyKernelArgs {
  fp_greedy_args args;
  bool is_aligned;  // rows start at multiples of 16 bytes
};

/// Grid: sequences.
template <class Format>
__global__ void __launch_bounds__(kThreads, kMinBlocks)
    greedy(const __grid_constant__ GreedyKernelArgs kernel) {
  constexpr unsigned kValues = Format::kValues;
  constexpr unsigned kWarps = Group<kThreads>::kWarps;
  const fp_greedy_args &args = kernel.args;
  const Group<kThreads> group(true);
  SharedArena arena;
  const Shared<float> firsts = arena.take<float>(kWarps);
  const Shared<float> seconds = arena.take<float>(kWarps);
  const Shared<unsigned> indices = arena.take<unsigned>(kWarps);
  const Shared<unsigned> votes = arena.take<unsigned>(kWarps);
  const PackedRow<Format> logits(args.logits, size_t(blockIdx.x) * args.vocabulary,
                                 args.vocabulary, kernel.is_aligned);
  Leaders leaders;
  bool is_finite = true;
  const unsigned num_packs = (args.vocabulary + kValues - 1) / kValues;
  for (unsigned base = group.rank; base < num_packs; base += kThreads * kPacks) {
    uint4 packs[kPacks];
    logits.load(base, kThreads, packs);
#pragma unroll
    for (int i = 0; i < kPacks; ++i) {
      float values[kValues];
      Format::unpack(packs[i], values);
#pragma unroll
      for (unsigned j = 0; j < kValues; ++j) {
        const unsigned at = (base + i * kThreads) * kValues + j;
        if (at < args.vocabulary) {
          is_finite &= bool(isfinite(values[j]));
          leaders.see(values[j], at);
        }
      }
    }
  }
#pragma unroll
  for (unsigned mask = kWarpSize / 2; mask > 0; mask /= 2) {
    const float first = shuffle_xor(leaders.first, mask);
    const float second = shuffle_xor(leaders.second, mask);
    const unsigned index = shuffle_xor(leaders.index, mask);
    leaders.merge(first, second, index);
  }
  const unsigned bad = ballot(!is_finite);
  if (group.lane() == 0) {
    firsts[group.warp()] = leaders.first;
    seconds[group.warp()] = leaders.second;
    indices[group.warp()] = leaders.index;
    votes[group.warp()] = bad;
  }
  group.sync();
  if (group.rank != 0) return;
  unsigned any = bad;
  for (unsigned warp = 1; warp < kWarps; ++warp) {
    leaders.merge(firsts[warp], seconds[warp], indices[warp]);
    any |= unsigned(votes[warp]);
  }
  fp_greedy_choice choice;
  choice.token = leaders.index == kNone ? 0 : leaders.index;
  choice.margin = leaders.second == -float(INFINITY) ? float(INFINITY)
                                                     : leaders.first - leaders.second;
  choice.is_finite = any == 0;
  global<fp_greedy_choice>(args.choices)[blockIdx.x] = choice;
}

}  // namespace
}  // namespace fp

int fp_greedy(const fp_greedy_args *args, void *stream) {
  using namespace fp;
  if (!args || !args->logits || !args->choices) return FP_NULL_POINTER;
  if (args->batch_size == 0 || args->vocabulary == 0) return FP_BAD_SHAPE;
  if (args->batch_size > kMaxGridX || args->vocabulary > FP_MAX_VOCABULARY) return FP_TOO_LARGE;
  if (!is_dtype(args->dtype)) return FP_BAD_DTYPE;
  const GreedyKernelArgs kernel = {*args,
                                   is_aligned_row(args->vocabulary, args->dtype, args->logits)};
  const unsigned bytes = Group<kThreads>::kWarps * 4 * unsigned(sizeof(float));
  const LaunchShape shape = {dim3(args->batch_size), kThreads, bytes, 1};
  return for_format(args->dtype, [&](auto format) {
    return launch(greedy<decltype(format)>, shape, stream, kernel);
  });
}
