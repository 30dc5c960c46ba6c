// Attention of a tile of query rows by fused multiply-adds, for f32.
//
// 16 neighbouring threads share four rows. A tile of 64 keys gives each of them four logits per
// row. Maxima are exchanged by shuffles and probabilities through shared memory, and each thread
// holds a few columns of its four rows' outputs in registers. Keys and values use the same shared
// memory in turn: the barriers that this costs are outweighed by an additional block per
// multiprocessor.
#pragma once

#include "attention.cuh"

namespace fp {

/// For rows of up to 64·COLUMNS values.
template <int COLUMNS> struct FmaTile {
  static constexpr unsigned kThreads = 128;
  static constexpr unsigned kRows = 32, kKeys = 64;
  static constexpr unsigned kLanes = 16;  // threads per row
  static constexpr unsigned kOfThread = 4;  // rows per thread, and keys of each
  /// Rows of shared memory in float4, one longer than the data: lanes hit different banks.
  static constexpr unsigned kFours = 16 * COLUMNS, kStride = kFours + 1;
  static constexpr unsigned kWeightStride = kKeys / 4 + 1;
  static constexpr size_t kSharedBytes =
      (kRows * kStride + kKeys * kStride + kRows * kWeightStride) * sizeof(float4) +
      2 * kKeys * sizeof(unsigned long long);
};

__device__ __forceinline__ float dot_onto(const float4 &a, const float4 &b, float sum) {
  return fmaf(a.w, b.w, fmaf(a.z, b.z, fmaf(a.y, b.y, fmaf(a.x, b.x, sum))));
}

__device__ __forceinline__ void add_scaled(float scale, const float4 &value, float4 &sum) {
  sum.x = fmaf(scale, value.x, sum.x);
  sum.y = fmaf(scale, value.y, sum.y);
  sum.z = fmaf(scale, value.z, sum.z);
  sum.w = fmaf(scale, value.w, sum.w);
}

/// Fills rows of shared memory from `addresses`, zeros where the address is null. Several loads
/// are in flight before the first is stored.
template <class E, int COLUMNS, bool NARROW, unsigned ROWS, class Address>
__device__ __forceinline__ void load_tile(const Address &address, Shared<float4> target,
                                          unsigned head_dim) {
  using Tile = FmaTile<COLUMNS>;
  constexpr unsigned kWords = 4 * Tile::kFours / E::kValues;  // per row
  constexpr unsigned kOfThread = ROWS * kWords / Tile::kThreads;
  constexpr unsigned kAtOnce = kOfThread < 8 ? kOfThread : 8;
  static_assert(kOfThread % kAtOnce == 0, "whole batches");
#pragma unroll 1
  for (unsigned batch = 0; batch < kOfThread; batch += kAtOnce) {
    uint4 words[kAtOnce];
#pragma unroll
    for (unsigned i = 0; i < kAtOnce; ++i) {
      const unsigned place = (batch + i) * Tile::kThreads + threadIdx.x;
      words[i] = load_word<E, NARROW>(address(place / kWords), place % kWords, head_dim);
    }
#pragma unroll
    for (unsigned i = 0; i < kAtOnce; ++i) {
      const unsigned place = (batch + i) * Tile::kThreads + threadIdx.x;
      float values[E::kValues];
      E::unpack(words[i], values);
#pragma unroll
      for (unsigned four = 0; four < E::kValues / 4; ++four)
        target[place / kWords * Tile::kStride + place % kWords * (E::kValues / 4) + four] =
            float4{values[4 * four], values[4 * four + 1], values[4 * four + 2],
                   values[4 * four + 3]};
    }
  }
}

/// Grid: tiles of rows, heads, sequences.
template <class E, int COLUMNS, bool NARROW>
__global__ void __launch_bounds__(FmaTile<COLUMNS>::kThreads, kMinBlocks)
    prefill_fma(const __grid_constant__ fp_attention_args args) {
  using Tile = FmaTile<COLUMNS>;
  constexpr unsigned kOwn = Tile::kOfThread;
  const unsigned head = blockIdx.y, index = blockIdx.z;
  const unsigned kv_head = head / (args.num_heads / args.num_kv_heads);
  // The last rows attend to the most keys, so they start first.
  const unsigned first_row = (gridDim.x - 1 - blockIdx.x) * Tile::kRows;
  const fp_attention_sequence sequence =
      global<const fp_attention_sequence>(args.sequences)[index];
  const Global<unsigned long long> error = global<unsigned long long>(args.error);
  if (!is_sound(args, sequence)) {
    if (threadIdx.x == 0) report(error, FP_DATA_BAD_SEQUENCE, index, 0);
    return;
  }
  if (first_row >= sequence.num_rows) return;
  const unsigned num_rows =
      sequence.num_rows - first_row < Tile::kRows ? sequence.num_rows - first_row : Tile::kRows;
  const unsigned end_key = visible_keys(args, sequence, first_row + num_rows);

  SharedArena arena;
  const Shared<float4> queries = arena.take<float4>(Tile::kRows * Tile::kStride);
  const Shared<float4> tile = arena.take<float4>(Tile::kKeys * Tile::kStride);
  const Shared<float4> weight_fours = arena.take<float4>(Tile::kRows * Tile::kWeightStride);
  const Shared<float> weights = shared_cast<float>(weight_fours);
  const TileAddresses addresses = {arena.take<unsigned long long>(Tile::kKeys),
                                   arena.take<unsigned long long>(Tile::kKeys)};

  const auto query = [&](unsigned row) -> unsigned long long {
    const size_t at = size_t(sequence.first_row) + first_row + row;
    return row < num_rows ? row_address<E>(args.queries, at * args.query_row_stride +
                                                             size_t(head) * args.head_dim)
                          : 0;
  };
  load_tile<E, COLUMNS, NARROW, Tile::kRows>(query, queries, args.head_dim);

  const unsigned lane = threadIdx.x % Tile::kLanes, own = threadIdx.x / Tile::kLanes * kOwn;
  const unsigned num_fours = (args.head_dim + 3) / 4;
  const float scale = args.scale * kLog2E;
  float maxima[kOwn], totals[kOwn];
  float4 sums[kOwn][COLUMNS];
#pragma unroll
  for (unsigned r = 0; r < kOwn; ++r) {
    maxima[r] = -float(INFINITY);
    totals[r] = 0.0f;
#pragma unroll
    for (unsigned c = 0; c < unsigned(COLUMNS); ++c) sums[r][c] = float4{0.0f, 0.0f, 0.0f, 0.0f};
  }

  KeyCursor cursor;
  for (unsigned first_key = 0; first_key < end_key; first_key += Tile::kKeys) {
    if (threadIdx.x < Tile::kKeys)
      locate<E>(args, sequence, index, kv_head, first_key + threadIdx.x,
                first_key + threadIdx.x < end_key, cursor, addresses, threadIdx.x);
    block_sync();
    load_tile<E, COLUMNS, NARROW, Tile::kKeys>(
        [&](unsigned key) -> unsigned long long { return addresses.keys[key]; }, tile,
        args.head_dim);
    block_sync();

    float logits[kOwn][kOwn] = {};
#pragma unroll 2
    for (unsigned i = 0; i < num_fours; ++i) {
      float4 q[kOwn];
#pragma unroll
      for (unsigned r = 0; r < kOwn; ++r) q[r] = queries[(own + r) * Tile::kStride + i];
#pragma unroll
      for (unsigned k = 0; k < kOwn; ++k) {
        const float4 key = tile[(lane + k * Tile::kLanes) * Tile::kStride + i];
#pragma unroll
        for (unsigned r = 0; r < kOwn; ++r) logits[r][k] = dot_onto(q[r], key, logits[r][k]);
      }
    }
#pragma unroll
    for (unsigned r = 0; r < kOwn; ++r) {
      const unsigned visible = visible_keys(args, sequence, first_row + own + r + 1);
      float maximum = maxima[r];
#pragma unroll
      for (unsigned k = 0; k < kOwn; ++k) {
        const unsigned key = first_key + lane + k * Tile::kLanes;
        const bool is_seen = key < visible && key < end_key;
        logits[r][k] = is_seen ? logits[r][k] * scale : -float(INFINITY);
        maximum = larger(maximum, logits[r][k]);
      }
#pragma unroll
      for (unsigned mask = Tile::kLanes / 2; mask > 0; mask /= 2)
        maximum = larger(maximum, shuffle_xor(maximum, mask));
      const float shrink = exp2f(maxima[r] - maximum);
      maxima[r] = maximum;
      float total = totals[r] * shrink;
#pragma unroll
      for (unsigned k = 0; k < kOwn; ++k) {
        const float weight = exp2f(logits[r][k] - maximum);
        total += weight;
        weights[(own + r) * 4 * Tile::kWeightStride + lane + k * Tile::kLanes] = weight;
      }
      totals[r] = total;
#pragma unroll
      for (unsigned c = 0; c < unsigned(COLUMNS); ++c) {
        sums[r][c].x *= shrink;
        sums[r][c].y *= shrink;
        sums[r][c].z *= shrink;
        sums[r][c].w *= shrink;
      }
    }
    block_sync();  // the keys were read, and all weights are written
    load_tile<E, COLUMNS, NARROW, Tile::kKeys>(
        [&](unsigned key) -> unsigned long long { return addresses.values[key]; }, tile,
        args.head_dim);
    block_sync();

    const unsigned in_tile = end_key - first_key < Tile::kKeys ? end_key - first_key : Tile::kKeys;
#pragma unroll 1
    for (unsigned four = 0; four < (in_tile + 3) / 4; ++four) {
      float4 weight[kOwn];
#pragma unroll
      for (unsigned r = 0; r < kOwn; ++r)
        weight[r] = weight_fours[(own + r) * Tile::kWeightStride + four];
#pragma unroll
      for (unsigned c = 0; c < unsigned(COLUMNS); ++c) {
        const unsigned column = lane + c * Tile::kLanes;
        const float4 v0 = tile[(4 * four) * Tile::kStride + column];
        const float4 v1 = tile[(4 * four + 1) * Tile::kStride + column];
        const float4 v2 = tile[(4 * four + 2) * Tile::kStride + column];
        const float4 v3 = tile[(4 * four + 3) * Tile::kStride + column];
#pragma unroll
        for (unsigned r = 0; r < kOwn; ++r) {
          add_scaled(weight[r].x, v0, sums[r][c]);
          add_scaled(weight[r].y, v1, sums[r][c]);
          add_scaled(weight[r].z, v2, sums[r][c]);
          add_scaled(weight[r].w, v3, sums[r][c]);
        }
      }
    }
    block_sync();  // tile, weights and addresses can be overwritten
  }

#pragma unroll
  for (unsigned r = 0; r < kOwn; ++r) {
    float total = totals[r];
#pragma unroll
    for (unsigned mask = Tile::kLanes / 2; mask > 0; mask /= 2) total += shuffle_xor(total, mask);
    if (own + r >= num_rows) continue;
    const size_t row = size_t(sequence.first_row) + first_row + own + r;
    if (lane == 0 && !is_total(total))
      report(error, FP_DATA_INVALID_LOGITS, unsigned(row * args.num_heads + head), 0);
#pragma unroll
    for (unsigned c = 0; c < unsigned(COLUMNS); ++c) {
      const unsigned column = 4 * (lane + c * Tile::kLanes);
      const float4 sum = sums[r][c];
      const float4 mean = {sum.x / total, sum.y / total, sum.z / total, sum.w / total};
      if constexpr (!NARROW && E::kValues == 4) {
        if (column < args.head_dim)
          global<float4>(args.output)[(row * args.output_row_stride +
                                       size_t(head) * args.head_dim + column) /
                                      4] = mean;
      } else {
        store_value<E>(args, row, head, column, mean.x);
        store_value<E>(args, row, head, column + 1, mean.y);
        store_value<E>(args, row, head, column + 2, mean.z);
        store_value<E>(args, row, head, column + 3, mean.w);
      }
    }
  }
}

}  // namespace fp
