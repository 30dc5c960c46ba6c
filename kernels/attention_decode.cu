// Attention of one query row per sequence; attention_decode.cuh computes each block's share of
// the keys.

#include "attention_decode.cuh"

namespace fp {
namespace {

/// Grid: heads, sequences.
template <class E>
__global__ void __launch_bounds__(kDecodeThreads, kMinBlocks)
    merge_splits(const __grid_constant__ DecodeArgs decode) {
  const fp_attention_args &args = decode.args;
  const unsigned head = blockIdx.x, index = decode.first_sequence + blockIdx.y;
  const fp_attention_sequence sequence =
      global<const fp_attention_sequence>(args.sequences)[index];
  if (!is_sound(args, sequence) || sequence.num_rows == 0) return;
  const Splits splits(visible_keys(args, sequence, 1));
  if (splits.count == 1) return;
  const Global<const float> workspace = global<const float>(args.workspace);
  const size_t first = slot_of(decode, blockIdx.y, head, 0);
  float maximum = -float(INFINITY), total = 0.0f;
  for (unsigned split = 0; split < splits.count; ++split)
    maximum = larger(maximum, workspace[decode.partials.maxima + first + split]);
  for (unsigned split = 0; split < splits.count; ++split)
    total += workspace[decode.partials.totals + first + split] *
             exp2f(workspace[decode.partials.maxima + first + split] - maximum);
  if (threadIdx.x == 0 && !is_total(total))
    report(global<unsigned long long>(args.error), FP_DATA_INVALID_LOGITS,
           sequence.first_row * args.num_heads + head, 0);
  for (unsigned column = threadIdx.x; column < args.head_dim; column += kDecodeThreads) {
    float sum = 0.0f;
#pragma unroll 4
    for (unsigned split = 0; split < splits.count; ++split)
      sum += workspace[(first + split) * args.head_dim + column] *
             exp2f(workspace[decode.partials.maxima + first + split] - maximum);
    store_value<E>(args, sequence.first_row, head, column, sum / total);
  }
}

template <class E, int DIM, int HEADS, bool NARROW>
int launch_splits(const DecodeArgs &decode, unsigned num_sequences, void *stream) {
  const fp_attention_args &args = decode.args;
  const unsigned group = args.num_heads / args.num_kv_heads;
  const unsigned batches = (group + HEADS - 1) / HEADS;
  const LaunchShape shape = {
      dim3(decode.partials.max_splits, args.num_kv_heads * batches, num_sequences), kDecodeThreads,
      DecodeTile<E, DIM, HEADS>::kSharedBytes, 1};
  return launch(decode_splits<E, DIM, HEADS, NARROW>, shape, stream, decode);
}

template <class E, int DIM, bool NARROW = false>
int launch_for_group(const DecodeArgs &decode, unsigned num_sequences, void *stream) {
  const unsigned group = decode.args.num_heads / decode.args.num_kv_heads;
  if (group == 1) return launch_splits<E, DIM, 1, NARROW>(decode, num_sequences, stream);
  if (group <= 4) return launch_splits<E, DIM, 4, NARROW>(decode, num_sequences, stream);
  return launch_splits<E, DIM, 8, NARROW>(decode, num_sequences, stream);
}

template <class E>
int launch_decode(const DecodeArgs &decode, unsigned num_sequences, void *stream) {
  if (is_narrow<E>(decode.args.head_dim))
    FP_CHECK((launch_for_group<E, kMaxNarrowDim, true>(decode, num_sequences, stream)));
  else if (decode.args.head_dim <= 64)
    FP_CHECK((launch_for_group<E, 64>(decode, num_sequences, stream)));
  else if (decode.args.head_dim <= 128)
    FP_CHECK((launch_for_group<E, 128>(decode, num_sequences, stream)));
  else
    FP_CHECK((launch_for_group<E, 256>(decode, num_sequences, stream)));
  if (decode.partials.max_splits == 1) return FP_OK;
  const LaunchShape merge = {dim3(decode.args.num_heads, num_sequences), kDecodeThreads, 0, 1};
  return launch(merge_splits<E>, merge, stream, decode);
}

bool has_sizes(const fp_attention_args &args) {
  return args.num_sequences && args.max_keys && args.max_keys <= 1u << 24 && args.num_heads &&
         args.num_heads <= FP_MAX_HEADS && args.head_dim && args.head_dim <= FP_MAX_HEAD_DIM;
}

}  // namespace
}  // namespace fp

size_t fp_attention_decode_workspace(const fp_attention_args *args) {
  using namespace fp;
  if (!args || !has_sizes(*args)) return 0;
  const Partials partials(*args);
  return partials.max_splits == 1 ? 0
                                  : partials.at_once(args->num_sequences) *
                                        partials.floats_of_sequence * sizeof(float);
}

int fp_attention_decode(const fp_attention_args *args, void *stream) {
  using namespace fp;
  if (!args) return FP_NULL_POINTER;
  FP_CHECK(check_attention(*args));
  if (args->max_rows != 1) return FP_BAD_SHAPE;
  DecodeArgs decode = {*args, Partials(*args), 0};
  const unsigned at_once = decode.partials.at_once(args->num_sequences);
  if (decode.partials.max_splits > 1) {
    if (!args->workspace) return FP_NULL_POINTER;
    if (!is_aligned(args->workspace)) return FP_MISALIGNED;
    if (args->workspace_bytes < fp_attention_decode_workspace(args)) return FP_WORKSPACE_TOO_SMALL;
    const size_t slots = size_t(at_once) * args->num_heads * decode.partials.max_splits;
    decode.partials.maxima = slots * args->head_dim;
    decode.partials.totals = decode.partials.maxima + slots;
  }
  for (unsigned first = 0; first < args->num_sequences; first += at_once) {
    decode.first_sequence = first;
    const unsigned count =
        args->num_sequences - first < at_once ? args->num_sequences - first : at_once;
    FP_CHECK(for_format(args->dtype, [&](auto format) {
      return launch_decode<decltype(format)>(decode, count, stream);
    }));
  }
  return FP_OK;
}
