// Rotary embedding of new queries and keys, and appending of the new keys and values to their
// cache.
//
// A decode step appends one token to each of many sequences, a prefill many tokens to each of
// few. Both are rows with a run and a slot, so that one launch serves any number of sequences.
// Cosines and sines come from a table by position, computed once on the host in the precision of
// the CPU's path: a device would need f64 sines to match it.
//
// A work item is a pack of a head's first half and the matching pack of its second half. Value
// heads are split in the same way, though they are not rotated, so that all heads of a row are
// one range of items.

#include "check.cuh"
#include "elements.cuh"
#include "group.cuh"

namespace fp {
namespace {

constexpr unsigned kThreads = 128;
/// Items that each thread has in flight.
constexpr unsigned kItems = 2;

struct RotaryKernelArgs {
  fp_rotary_append_args args;
  unsigned num_items;  // per row
};

/// VALUES values at an address: a 16-byte pack if the values fill one, or a single value.
template <class Format, unsigned VALUES> struct Piece {
  uint4 words;
  __device__ __forceinline__ void load(const void *tensor, size_t offset) {
    words = global<const uint4>(tensor)[offset / VALUES];
  }
  __device__ __forceinline__ void unpack(float (&values)[VALUES]) const {
    Format::unpack(words, values);
  }
  __device__ __forceinline__ static void store(const void *tensor, size_t offset,
                                               const float (&values)[VALUES]) {
    global<uint4>(tensor)[offset / VALUES] = Format::pack(values);
  }
  /// Angles of VALUES pairs, by 16-byte reads.
  __device__ __forceinline__ static void load_angles(const float *table, size_t offset,
                                                     float (&values)[VALUES]) {
    const Global<const float4> fours = global<const float4>(table) + offset / 4;
#pragma unroll
    for (unsigned i = 0; i < VALUES / 4; ++i) {
      const float4 four = fours[i];
      values[4 * i] = four.x;
      values[4 * i + 1] = four.y;
      values[4 * i + 2] = four.z;
      values[4 * i + 3] = four.w;
    }
  }
};
template <class Format> struct Piece<Format, 1> {
  typename Format::Stored value;
  __device__ __forceinline__ void load(const void *tensor, size_t offset) {
    value = global<const typename Format::Stored>(tensor)[offset];
  }
  __device__ __forceinline__ void unpack(float (&values)[1]) const {
    values[0] = Format::widen(value);
  }
  __device__ __forceinline__ static void store(const void *tensor, size_t offset,
                                               const float (&values)[1]) {
    global<typename Format::Stored>(tensor)[offset] = Format::narrow(values[0]);
  }
  __device__ __forceinline__ static void load_angles(const float *table, size_t offset,
                                                     float (&values)[1]) {
    values[0] = global<const float>(table)[offset];
  }
};

/// Grid: rows, chunks of a row's items.
template <class Format, unsigned VALUES>
__global__ void __launch_bounds__(kThreads, kMinBlocks)
    rotary_append(const __grid_constant__ RotaryKernelArgs kernel) {
  const fp_rotary_append_args &args = kernel.args;
  const unsigned row = blockIdx.x, half = args.head_dim / 2, items_of_head = half / VALUES;
  const unsigned first_item = blockIdx.y * kThreads * kItems + threadIdx.x;
  const unsigned position = global<const unsigned>(args.positions)[row];
  const unsigned run_index = global<const unsigned>(args.runs)[row];
  const unsigned slot = global<const unsigned>(args.slots)[row];
  Piece<Format, VALUES> low[kItems], high[kItems];
#pragma unroll
  for (unsigned i = 0; i < kItems; ++i) {
    const unsigned item = first_item + i * kThreads;
    if (item < kernel.num_items) {
      const size_t at = row * args.projected_stride +
                        item / items_of_head * args.head_dim + item % items_of_head * VALUES;
      low[i].load(args.projected, at);
      high[i].load(args.projected, at + half);
    }
  }
  fp_kv_run run = {nullptr, nullptr, 0};
  if (run_index < args.num_runs) run = global<const fp_kv_run>(args.run_table)[run_index];
  if (position >= args.num_positions || slot >= run.capacity) {
    if (blockIdx.y == 0 && threadIdx.x == 0)
      report(global<unsigned long long>(args.error),
             position >= args.num_positions ? FP_DATA_BAD_POSITION : FP_DATA_BAD_SLOT, row, 0);
    return;
  }
#pragma unroll
  for (unsigned i = 0; i < kItems; ++i) {
    const unsigned item = first_item + i * kThreads;
    if (item >= kernel.num_items) continue;
    const unsigned head = item / items_of_head, pair = item % items_of_head * VALUES;
    float a[VALUES], b[VALUES];
    low[i].unpack(a);
    high[i].unpack(b);
    if (head < args.num_heads + args.num_kv_heads) {
      float cosine[VALUES], sine[VALUES];
      const size_t angles = size_t(position) * half + pair;
      Piece<Format, VALUES>::load_angles(args.cosines, angles, cosine);
      Piece<Format, VALUES>::load_angles(args.sines, angles, sine);
#pragma unroll
      for (unsigned j = 0; j < VALUES; ++j) {  // with the rounding of the CPU's path
        const float x = a[j], y = b[j];
        a[j] = fmaf(x, cosine[j], -(y * sine[j]));
        b[j] = fmaf(y, cosine[j], x * sine[j]);
      }
    }
    void *target = args.queries;
    size_t at = row * args.query_stride + head * args.head_dim + pair;
    if (head >= args.num_heads) {
      const unsigned of_both = head - args.num_heads;
      const bool is_key = of_both < args.num_kv_heads;
      target = is_key ? run.keys : run.values;
      at = ((is_key ? of_both : of_both - args.num_kv_heads) * run.capacity + slot) *
               args.head_dim + pair;
    }
    Piece<Format, VALUES>::store(target, at, a);
    Piece<Format, VALUES>::store(target, at + half, b);
  }
}

template <class Format, unsigned VALUES>
int launch_rotary(const fp_rotary_append_args &args, void *stream) {
  const unsigned heads = args.num_heads + 2 * args.num_kv_heads;
  const RotaryKernelArgs kernel = {args, heads * (args.head_dim / 2 / VALUES)};
  const unsigned chunks = (kernel.num_items + kThreads * kItems - 1) / (kThreads * kItems);
  const LaunchShape shape = {dim3(args.num_rows, chunks), kThreads, 0, 1};
  return launch(rotary_append<Format, VALUES>, shape, stream, kernel);
}

}  // namespace
}  // namespace fp

int fp_rotary_append(const fp_rotary_append_args *args, void *stream) {
  using namespace fp;
  if (!args || !args->projected || !args->queries || !args->cosines || !args->sines ||
      !args->positions || !args->runs || !args->slots || !args->run_table || !args->error)
    return FP_NULL_POINTER;
  if (args->num_rows == 0 || args->num_heads == 0 || args->num_kv_heads == 0 ||
      args->head_dim == 0 || args->num_positions == 0 || args->num_runs == 0)
    return FP_BAD_SHAPE;
  if (args->num_heads > kMaxLayerHeads || args->num_kv_heads > args->num_heads ||
      args->head_dim > FP_MAX_HEAD_DIM || args->num_rows > kMaxGridX)
    return FP_TOO_LARGE;
  const size_t width = size_t(args->num_heads + 2 * args->num_kv_heads) * args->head_dim;
  const bool is_in_place = args->queries == args->projected;
  if (args->head_dim % 2 != 0 || args->projected_stride < width ||
      args->query_stride < size_t(args->num_heads) * args->head_dim ||
      (is_in_place && args->query_stride != args->projected_stride))
    return FP_BAD_SHAPE;
  if (!is_dtype(args->dtype)) return FP_BAD_DTYPE;
  return for_format(args->dtype, [&](auto format) {
    using Format = decltype(format);
    const bool is_by_packs =
        is_aligned_row(args->head_dim / 2, args->dtype, args->projected, args->queries) &&
        is_aligned(args->cosines) && is_aligned(args->sines) &&
        (args->projected_stride | args->query_stride) % Format::kValues == 0;
    return is_by_packs ? launch_rotary<Format, Format::kValues>(*args, stream)
                       : launch_rotary<Format, 1>(*args, stream);
  });
}
