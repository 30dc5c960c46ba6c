// Attention of selected query rows to the image, without computing the other rows.
//
// One kernel takes a tile of keys and writes the logits of image columns and, for the whole
// causal row, the tile's maximum and sum of exponentials. A second kernel merges the tiles' sums
// and turns logits into attention, applying weights if they are known. The intermediate results
// are at most `[B, H, Q, N]`, never S × S.

#include "attention_rows.cuh"

namespace fp {
namespace {

struct Sizes {
  unsigned num_tiles;
  size_t logits, maxima, sums;  // offsets into the workspace, in floats
  size_t num_floats;

  Sizes() = default;
  explicit Sizes(const fp_attention_rows_args &args) {
    num_tiles = (args.sequence_len + kTileKeys - 1) / kTileKeys;
    const size_t rows = size_t(args.batch_size) * args.num_heads * args.num_rows;
    logits = 0;
    maxima = rows * args.num_image_tokens;
    sums = maxima + rows * num_tiles;
    num_floats = sums + rows * num_tiles;
  }
};

struct AttentionKernelArgs {
  fp_attention_rows_args args;
  Sizes sizes;
};

/// q · k over D values, in four interleaved sums.
__device__ float dot(Shared<float4> query, Shared<float4> key, unsigned head_dim) {
  float4 sums = {0.0f, 0.0f, 0.0f, 0.0f};
#pragma unroll 2  // more needs more registers than eight blocks allow
  for (unsigned i = 0; i < head_dim / 4; ++i) {
    const float4 q = query[i], k = key[i];
    sums.x = fmaf(q.x, k.x, sums.x);
    sums.y = fmaf(q.y, k.y, sums.y);
    sums.z = fmaf(q.z, k.z, sums.z);
    sums.w = fmaf(q.w, k.w, sums.w);
  }
  return (sums.x + sums.y) + (sums.z + sums.w);
}

__device__ float warp_max(float value) {
  for (unsigned mask = kWarpSize / 2; mask > 0; mask /= 2) {
    const float other = shuffle_xor(value, mask);
    value = other > value ? other : value;
  }
  return value;
}

__device__ float warp_sum(float value) {
  for (unsigned mask = kWarpSize / 2; mask > 0; mask /= 2) value += shuffle_xor(value, mask);
  return value;
}

/// Grid: tiles of keys, key heads, samples. Each warp takes rows in turn and loads the next row's
/// query while it works on the current one; a lane is a key.
template <class E, bool NARROW>
__global__ void __launch_bounds__(kTileThreads, kTileBlocks)
    tile_logits(const __grid_constant__ AttentionKernelArgs kernel) {
  const fp_attention_rows_args &args = kernel.args;
  const unsigned tile = blockIdx.x, kv_head = blockIdx.y, sample = blockIdx.z;
  const unsigned warp = threadIdx.x / kWarpSize, lane = threadIdx.x % kWarpSize;
  const unsigned width = padded_dim<E, NARROW>(args.head_dim);
  const unsigned stride = (width + kPadding) / 4;  // in float4
  SharedArena arena;
  const Shared<float4> keys = arena.take<float4>(kTileKeys * stride);
  const Shared<float4> query =
      arena.take<float4>(kTileWarps * width / 4) + warp * (width / 4);
  const Shared<unsigned long long> addresses = arena.take<unsigned long long>(kTileKeys);
  const Global<float> workspace = global<float>(args.workspace);
  const Global<const unsigned> positions = global<const unsigned>(args.row_positions);
  const Global<unsigned long long> error = global<unsigned long long>(args.error);

  const unsigned group = args.num_heads / args.num_kv_heads, num_rows = group * args.num_rows;
  uint4 next[kWordsOfLane<E>];
  const auto fetch = [&](unsigned i) {
    const unsigned long long address =
        i < num_rows ? query_address<E>(args, sample, kv_head * group + i / args.num_rows,
                                        i % args.num_rows)
                     : 0;
#pragma unroll
    for (unsigned w = 0; w < kWordsOfLane<E>; ++w)
      next[w] = load_word<E, NARROW>(address, w * kWarpSize + lane, args.head_dim);
  };
  fetch(warp);
  const unsigned key = tile * kTileKeys + lane;
  if (warp == 0) addresses[lane] = key_address<E>(args, sample, kv_head, key);
  block_sync();
  load_keys<E, NARROW>(addresses, keys, args.head_dim, stride);
  block_sync();

  for (unsigned i = warp; i < num_rows; i += kTileWarps) {
    const unsigned head = kv_head * group + i / args.num_rows, row = i % args.num_rows;
    const unsigned position = positions[row];
#pragma unroll
    for (unsigned w = 0; w < kWordsOfLane<E>; ++w)
      if (w * kWarpSize + lane < width / E::kValues)
        store_word<E>(next[w], query, w * kWarpSize + lane);
    fetch(i + kTileWarps);
    warp_sync();
    if (position >= args.sequence_len && lane == 0) report(error, FP_DATA_BAD_POSITION, row, 0);
    const size_t row_index = (size_t(sample) * args.num_heads + head) * args.num_rows + row;
    const bool is_seen = key <= position && key < args.sequence_len;
    float logit = -float(INFINITY);
    if (is_seen) {
      logit = args.scale * dot(query, keys + lane * stride, width);
      if (!isfinite(logit)) report(error, FP_DATA_INVALID_LOGITS, unsigned(row_index), key);
    }
    warp_sync();  // the query may be overwritten
    const unsigned column = key - args.image_start;  // wraps around for keys before the image
    if (column < args.num_image_tokens)
      workspace[kernel.sizes.logits + row_index * args.num_image_tokens + column] = logit;
    const float maximum = warp_max(logit);
    const float sum = warp_sum(is_seen ? expf(logit - maximum) : 0.0f);
    if (lane == 0) {
      const size_t slot = row_index * kernel.sizes.num_tiles + tile;
      workspace[kernel.sizes.maxima + slot] = maximum;
      workspace[kernel.sizes.sums + slot] = sum;
    }
  }
}

/// Grid: chunks of image columns, heads, samples; a thread per column.
__global__ void __launch_bounds__(kColumnThreads, kMinBlocks)
    merge_rows(const __grid_constant__ AttentionKernelArgs kernel) {
  const fp_attention_rows_args &args = kernel.args;
  const unsigned head = blockIdx.y, sample = blockIdx.z;
  const unsigned column = blockIdx.x * kColumnThreads + threadIdx.x;
  SharedArena arena;
  const Shared<float> maxima = arena.take<float>(kColumnThreads);
  const Shared<float> totals = arena.take<float>(kColumnThreads);
  const Global<const float> workspace = global<const float>(args.workspace);
  const Global<float> attention = global<float>(args.attention);
  const Global<const double> weights = global<const double>(args.weights);
  const size_t first_row = (size_t(sample) * args.num_heads + head) * args.num_rows;
  double weighted = 0.0;
  for (unsigned begin = 0; begin < args.num_rows; begin += kColumnThreads) {
    const unsigned in_chunk =
        args.num_rows - begin < kColumnThreads ? args.num_rows - begin : kColumnThreads;
    if (threadIdx.x < in_chunk) {
      const size_t slot = (first_row + begin + threadIdx.x) * kernel.sizes.num_tiles;
      float maximum = -float(INFINITY), total = 0.0f;
      for (unsigned tile = 0; tile < kernel.sizes.num_tiles; ++tile) {
        const float other = workspace[kernel.sizes.maxima + slot + tile];
        maximum = other > maximum ? other : maximum;
      }
      for (unsigned tile = 0; tile < kernel.sizes.num_tiles; ++tile) {
        const float other = workspace[kernel.sizes.maxima + slot + tile];
        total += workspace[kernel.sizes.sums + slot + tile] * expf(other - maximum);
      }
      maxima[threadIdx.x] = maximum;
      totals[threadIdx.x] = total;
    }
    block_sync();
    if (column < args.num_image_tokens)
      for (unsigned i = 0; i < in_chunk; ++i) {
        const size_t index = (first_row + begin + i) * args.num_image_tokens + column;
        const float value = expf(workspace[kernel.sizes.logits + index] - maxima[i]) / totals[i];
        if (args.weights)
          weighted += weights[sample * args.weights_batch_stride + begin + i] * value;
        else
          attention[index] = value;
      }
    block_sync();
  }
  if (args.weights && column < args.num_image_tokens)
    attention[(size_t(sample) * args.num_heads + head) * args.num_image_tokens + column] =
        float(weighted);
}

int check(const fp_attention_rows_args &args) {
  FP_CHECK(check_sizes(args.batch_size, args.num_heads, args.num_image_tokens));
  if (args.num_kv_heads == 0 || args.num_rows == 0 || args.sequence_len == 0 || args.head_dim == 0)
    return FP_BAD_SHAPE;
  if (args.num_heads % args.num_kv_heads != 0 || args.image_start >= args.sequence_len ||
      args.num_image_tokens > args.sequence_len - args.image_start)
    return FP_BAD_SHAPE;
  const size_t rows = size_t(args.batch_size) * args.num_heads * args.num_rows;
  if (args.head_dim > FP_MAX_HEAD_DIM || args.sequence_len > 1u << 24 || rows > UINT32_MAX)
    return FP_TOO_LARGE;
  return FP_OK;
}

template <class E, bool NARROW>
int launch_tiles(const AttentionKernelArgs &kernel, void *stream) {
  const fp_attention_rows_args &args = kernel.args;
  const unsigned width = padded_dim<E, NARROW>(args.head_dim), stride = width + kPadding;
  const LaunchShape tiles = {dim3(kernel.sizes.num_tiles, args.num_kv_heads, args.batch_size),
                             kTileThreads,
                             (kTileKeys * stride + kTileWarps * width) * sizeof(float) +
                                 kTileKeys * sizeof(unsigned long long),
                             1};
  return launch(tile_logits<E, NARROW>, tiles, stream, kernel);
}

}  // namespace
}  // namespace fp

size_t fp_attention_rows_workspace(const fp_attention_rows_args *args) {
  using namespace fp;
  return args && check(*args) == FP_OK ? Sizes(*args).num_floats * sizeof(float) : 0;
}

int fp_attention_rows(const fp_attention_rows_args *args, void *stream) {
  using namespace fp;
  if (!args || !args->queries || !args->row_positions || !args->attention || !args->workspace ||
      !args->error || (!args->keys && (!args->sequences || !args->runs)))
    return FP_NULL_POINTER;
  FP_CHECK(check(*args));
  if (!is_dtype(args->dtype)) return FP_BAD_DTYPE;
  if (!(args->scale > 0.0f && args->scale < INFINITY)) return FP_BAD_OPTION;
  const size_t strides = args->query_batch_stride | args->query_head_stride |
                         args->query_row_stride | args->key_batch_stride | args->key_head_stride |
                         args->key_token_stride;
  const size_t per_word = FP_ALIGNMENT / dtype_bytes(args->dtype);
  const bool narrow = args->head_dim % per_word != 0;
  if (narrow && args->head_dim > kMaxNarrowDim) return FP_BAD_SHAPE;
  if (!is_aligned(args->workspace) ||
      (!narrow && (!is_aligned(args->queries) || !is_aligned(args->keys) ||
                   strides % per_word != 0)))
    return FP_MISALIGNED;
  const AttentionKernelArgs kernel = {*args, Sizes(*args)};
  if (args->workspace_bytes < kernel.sizes.num_floats * sizeof(float))
    return FP_WORKSPACE_TOO_SMALL;
  FP_CHECK(for_format(args->dtype, [&](auto format) {
    using E = decltype(format);
    return narrow ? launch_tiles<E, true>(kernel, stream) : launch_tiles<E, false>(kernel, stream);
  }));
  const unsigned chunks = (args->num_image_tokens + kColumnThreads - 1) / kColumnThreads;
  const LaunchShape columns = {dim3(chunks, args->num_heads, args->batch_size), kColumnThreads,
                               2 * kColumnThreads * sizeof(float), 1};
  return launch(merge_rows, columns, stream, kernel);
}
