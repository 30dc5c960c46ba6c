// Gathers the kept part of a sequence: hidden states, keys, values and positions.

#include "check.cuh"
#include "group.cuh"

namespace fp {
namespace {

constexpr unsigned kThreads = 256;
/// 16-byte words that each thread has in flight.
constexpr unsigned kWordsOfThread = 4;

/// The parts of the sequence, and the kept tokens of one sample.
struct Layout {
  Global<const unsigned> kept;
  unsigned num_system, num_image_tokens, num_text, num_kept;

  __device__ unsigned num_rows() const { return num_system + num_kept + num_text; }
  /// Finds the row of the whole sequence that is copied to row `row`; false for a kept token that
  /// does not exist or is not above the one before it.
  __device__ bool source_row(unsigned row, unsigned &source) const {
    if (row < num_system) {
      source = row;
      return true;
    }
    if (row >= num_system + num_kept) {
      source = row - num_kept + num_image_tokens;
      return true;
    }
    const unsigned i = row - num_system;
    const unsigned token = kept[i];
    source = num_system + token;
    return token < num_image_tokens && (i == 0 || kept[i - 1] < token);
  }
};

template <class Args> __device__ Layout layout_of(const Args &args, unsigned sample) {
  return {global<const unsigned>(args.kept_tokens) + sample * args.kept_batch_stride,
          args.num_system, args.num_image_tokens, args.num_text, args.num_kept_tokens};
}

/// Grid: chunks of 16-byte words of one target `[rows, row]`, outer, samples.
__global__ void __launch_bounds__(kThreads, kMinBlocks)
    gather_tokens(const __grid_constant__ fp_gather_tokens_args args) {
  const unsigned outer = blockIdx.y, sample = blockIdx.z;
  const Layout layout = layout_of(args, sample);
  const unsigned row_words = args.row_bytes / sizeof(uint4);
  const unsigned num_words = layout.num_rows() * row_words;
  const size_t source_offset =
      (sample * args.source_batch_stride + outer * args.source_outer_stride) / sizeof(uint4);
  const Global<const uint4> source = global<const uint4>(args.source) + source_offset;
  const Global<uint4> target = global<uint4>(args.target) +
                               (size_t(sample) * args.outer + outer) * num_words;
  const unsigned first = blockIdx.x * kThreads * kWordsOfThread + threadIdx.x;
  uint4 words[kWordsOfThread];
  bool is_good[kWordsOfThread];
#pragma unroll
  for (unsigned i = 0; i < kWordsOfThread; ++i) {
    const unsigned word = first + i * kThreads;
    is_good[i] = word < num_words;
    if (is_good[i]) {
      unsigned source_row;
      const unsigned row = word / row_words;
      is_good[i] = layout.source_row(row, source_row);
      if (is_good[i])
        words[i] = source[size_t(source_row) * row_words + word % row_words];
      else
        report(global<unsigned long long>(args.error), FP_DATA_BAD_INDEX, sample,
               row - layout.num_system);
    }
  }
#pragma unroll
  for (unsigned i = 0; i < kWordsOfThread; ++i)
    if (is_good[i]) target[first + i * kThreads] = words[i];
}

/// Grid: chunks of rows, samples.
__global__ void __launch_bounds__(kThreads, kMinBlocks)
    gather_positions(const __grid_constant__ fp_gather_positions_args args) {
  const unsigned row = blockIdx.x * kThreads + threadIdx.x, sample = blockIdx.y;
  const Layout layout = layout_of(args, sample);
  if (row >= layout.num_rows()) return;
  unsigned source_row;
  if (!layout.source_row(row, source_row)) {
    report(global<unsigned long long>(args.error), FP_DATA_BAD_INDEX, sample,
           row - layout.num_system);
    return;
  }
  global<unsigned>(args.positions)[size_t(sample) * layout.num_rows() + row] = source_row;
}

/// Checks that sequence lengths fit 32 bits, with room for a chunk of the grid.
template <class Args> int check_layout(const Args &args) {
  if (args.batch_size == 0 || args.num_image_tokens == 0) return FP_BAD_SHAPE;
  const size_t sequence_len = size_t(args.num_system) + args.num_image_tokens + args.num_text;
  if (args.batch_size > kMaxGridYZ || sequence_len > 1u << 24) return FP_TOO_LARGE;
  if (args.num_kept_tokens == 0 || args.num_kept_tokens > args.num_image_tokens)
    return FP_BAD_COUNT;
  return FP_OK;
}

template <class Args> size_t num_rows(const Args &args) {
  return size_t(args.num_system) + args.num_kept_tokens + args.num_text;
}

}  // namespace
}  // namespace fp

int fp_gather_tokens(const fp_gather_tokens_args *args, void *stream) {
  using namespace fp;
  if (!args || !args->source || !args->target || !args->kept_tokens || !args->error)
    return FP_NULL_POINTER;
  FP_CHECK(check_layout(*args));
  if (args->outer == 0 || args->row_bytes == 0) return FP_BAD_SHAPE;
  const size_t strides = args->source_batch_stride | args->source_outer_stride | args->row_bytes;
  if (!is_aligned(args->source) || !is_aligned(args->target) || strides % FP_ALIGNMENT != 0)
    return FP_MISALIGNED;
  const size_t num_words = num_rows(*args) * (args->row_bytes / FP_ALIGNMENT);
  constexpr size_t kChunk = kThreads * kWordsOfThread;
  if (num_words > UINT32_MAX - kChunk || args->outer > kMaxGridYZ) return FP_TOO_LARGE;
  const LaunchShape shape = {
      dim3(unsigned((num_words + kChunk - 1) / kChunk), args->outer, args->batch_size), kThreads, 0,
      1};
  return launch(gather_tokens, shape, stream, *args);
}

int fp_gather_positions(const fp_gather_positions_args *args, void *stream) {
  using namespace fp;
  if (!args || !args->kept_tokens || !args->positions || !args->error) return FP_NULL_POINTER;
  FP_CHECK(check_layout(*args));
  const unsigned chunks = unsigned((num_rows(*args) + kThreads - 1) / kThreads);
  const LaunchShape shape = {dim3(chunks, args->batch_size), kThreads, 0, 1};
  return launch(gather_positions, shape, stream, *args);
}
