// Rows by index: embeddings of tokens, with an image's features in between.
//
// A prompt with an image is one launch: for each row an index says whether it comes from the
// table or from the features. Rows are moved as bytes, in the widest words that all addresses are
// aligned to.

#include "check.cuh"
#include "group.cuh"

namespace fp {
namespace {

constexpr unsigned kMaxThreads = 256;
/// Words that each thread has in flight.
constexpr unsigned kWords = 4;

/// Grid: rows, chunks of their words.
template <class Word>
__global__ void __launch_bounds__(kMaxThreads, kMinBlocks)
    gather_rows(const __grid_constant__ fp_gather_rows_args args) {
  const unsigned row = blockIdx.x, num_words = args.row_bytes / sizeof(Word);
  unsigned feature = FP_FROM_TABLE;
  if (args.features) feature = global<const unsigned>(args.feature_rows)[row];
  const bool is_feature = feature != FP_FROM_TABLE;
  const unsigned index =
      is_feature ? feature : unsigned(global<const unsigned>(args.indices)[row]);
  if (index >= (is_feature ? args.num_features : args.table_rows)) {
    if (blockIdx.y == 0 && threadIdx.x == 0)
      report(global<unsigned long long>(args.error), FP_DATA_BAD_ROW, row, is_feature);
    return;
  }
  const size_t stride = is_feature ? args.feature_stride : args.table_stride;
  const Global<const Word> source =
      global<const Word>(is_feature ? args.features : args.table) + index * (stride / sizeof(Word));
  const Global<Word> target = global<Word>(args.out) + size_t(row) * num_words;
  const unsigned first = blockIdx.y * blockDim.x * kWords + threadIdx.x;
  Word words[kWords];
#pragma unroll
  for (unsigned i = 0; i < kWords; ++i) {
    const unsigned word = first + i * blockDim.x;
    if (word < num_words) words[i] = source[word];
  }
#pragma unroll
  for (unsigned i = 0; i < kWords; ++i) {
    const unsigned word = first + i * blockDim.x;
    if (word < num_words) target[word] = words[i];
  }
}

template <class Word> int launch_gather(const fp_gather_rows_args &args, void *stream) {
  const unsigned words = args.row_bytes / sizeof(Word);
  const unsigned of_warps = (words + kWarpSize - 1) / kWarpSize * kWarpSize;
  const unsigned threads = of_warps < kMaxThreads ? of_warps : kMaxThreads;
  const unsigned chunks = (words + threads * kWords - 1) / (threads * kWords);
  const LaunchShape shape = {dim3(args.num_rows, chunks), threads, 0, 1};
  return launch(gather_rows<Word>, shape, stream, args);
}

}  // namespace
}  // namespace fp

int fp_gather_rows(const fp_gather_rows_args *args, void *stream) {
  using namespace fp;
  if (!args || !args->table || !args->indices || !args->out || !args->error)
    return FP_NULL_POINTER;
  if (!args->features != !args->feature_rows) return FP_NULL_POINTER;
  if (args->num_rows == 0 || args->row_bytes == 0 || args->table_rows == 0 ||
      (args->features && args->num_features == 0))
    return FP_BAD_SHAPE;
  if (args->table_stride < args->row_bytes ||
      (args->features && args->feature_stride < args->row_bytes))
    return FP_BAD_SHAPE;
  if (args->num_rows > kMaxGridX || args->row_bytes > FP_MAX_ROW_BYTES) return FP_TOO_LARGE;
  const size_t places = reinterpret_cast<uintptr_t>(args->table) |
                        reinterpret_cast<uintptr_t>(args->features) |
                        reinterpret_cast<uintptr_t>(args->out) | args->table_stride |
                        args->row_bytes | (args->features ? args->feature_stride : 0);
  if (places % sizeof(uint4) == 0) return launch_gather<uint4>(*args, stream);
  if (places % sizeof(unsigned) == 0) return launch_gather<unsigned>(*args, stream);
  if (places % sizeof(unsigned short) == 0) return launch_gather<unsigned short>(*args, stream);
  return FP_MISALIGNED;
}
