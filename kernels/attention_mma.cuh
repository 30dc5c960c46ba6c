// Attention of a tile of query rows on tensor cores, for f16 and bf16.
//
// A warp has 16 rows. Their logits over 64 keys and their outputs stay in its registers, in the
// layout in which a tensor core returns sums and takes the left operand of the next product, so
// that weights never pass through memory. A weight in f32 is split into the sum of two 16-bit
// numbers, each of which multiplies the values: rounding it to one would lose the precision of
// the f32 sums.
#pragma once

#include "attention.cuh"

namespace fp {

/// For rows of up to 16·CHUNKS values.
template <int CHUNKS> struct MmaTile {
  static constexpr unsigned kThreads = 128;
  // Half the keys where outputs take most of the registers.
  static constexpr unsigned kRows = 64, kKeys = CHUNKS > 8 ? 32 : 64;
  static constexpr unsigned kRowsOfWarp = 16;
  static constexpr unsigned kDim = 16 * CHUNKS;
  static constexpr unsigned kWords = kDim / 8;
  /// Rows of shared memory in 16-byte words, an odd number: lanes hit different banks.
  static constexpr unsigned kStride = kWords + 1;
  static constexpr size_t kSharedBytes =
      (kRows + 2 * kKeys) * kStride * sizeof(uint4) + 2 * kKeys * sizeof(unsigned long long);
};

/// Fills rows of shared memory from their addresses, zeros where the address is null.
template <class E, int CHUNKS, bool NARROW, unsigned ROWS, class Address>
__device__ __forceinline__ void load_words(const Address &address, Shared<uint4> target,
                                           unsigned head_dim) {
  using Tile = MmaTile<CHUNKS>;
  constexpr unsigned kOfThread = ROWS * Tile::kWords / Tile::kThreads;
  constexpr unsigned kAtOnce = kOfThread % 4 == 0 ? 4 : kOfThread % 5 == 0 ? 5 : 1;
  static_assert(ROWS * Tile::kWords % Tile::kThreads == 0, "whole turns");
#pragma unroll 1
  for (unsigned batch = 0; batch < kOfThread; batch += kAtOnce) {
    uint4 words[kAtOnce];
#pragma unroll
    for (unsigned i = 0; i < kAtOnce; ++i) {
      const unsigned place = (batch + i) * Tile::kThreads + threadIdx.x;
      words[i] = load_word<E, NARROW>(address(place / Tile::kWords), place % Tile::kWords,
                                      head_dim);
    }
#pragma unroll
    for (unsigned i = 0; i < kAtOnce; ++i) {
      const unsigned place = (batch + i) * Tile::kThreads + threadIdx.x;
      target[place / Tile::kWords * Tile::kStride + place % Tile::kWords] = words[i];
    }
  }
}

/// Splits two weights into a pair of 16-bit numbers and a pair of their remainders.
template <class E>
__device__ __forceinline__ void split_pair(float low, float high, unsigned &near, unsigned &rest) {
  const unsigned short a = E::narrow(low), b = E::narrow(high);
  near = E::join(a, b);
  rest = E::join(E::narrow(low - E::widen(a)), E::narrow(high - E::widen(b)));
}

/// Grid: tiles of rows, heads, sequences.
template <class E, int CHUNKS, bool NARROW>
__global__ void __launch_bounds__(MmaTile<CHUNKS>::kThreads, kMinBlocks)
    prefill_mma(const __grid_constant__ fp_attention_args args) {
  using Tile = MmaTile<CHUNKS>;
  constexpr unsigned kStride = 8 * Tile::kStride;  // in values
  constexpr unsigned kKeyTiles = Tile::kKeys / 8;
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
  const Shared<uint4> query_words = arena.take<uint4>(Tile::kRows * Tile::kStride);
  const Shared<uint4> key_words = arena.take<uint4>(Tile::kKeys * Tile::kStride);
  const Shared<uint4> value_words = arena.take<uint4>(Tile::kKeys * Tile::kStride);
  const Shared<unsigned short> queries = shared_cast<unsigned short>(query_words);
  const Shared<unsigned short> keys = shared_cast<unsigned short>(key_words);
  const Shared<unsigned short> values = shared_cast<unsigned short>(value_words);
  const TileAddresses addresses = {arena.take<unsigned long long>(Tile::kKeys),
                                   arena.take<unsigned long long>(Tile::kKeys)};

  load_words<E, CHUNKS, NARROW, Tile::kRows>(
      [&](unsigned row) -> unsigned long long {
        const size_t at = size_t(sequence.first_row) + first_row + row;
        return row < num_rows ? row_address<E>(args.queries, at * args.query_row_stride +
                                                                 size_t(head) * args.head_dim)
                              : 0;
      },
      query_words, args.head_dim);

  const unsigned lane = threadIdx.x % kWarpSize;
  const unsigned warp_row = threadIdx.x / kWarpSize * Tile::kRowsOfWarp;
  // This lane's rows and its first column of each eight, in the layout of `mma`.
  const unsigned rows[2] = {warp_row + lane / 4, warp_row + lane / 4 + 8};
  const unsigned pair = lane % 4 * 2;
  // The address that this lane passes to load_matrices: a row among 16, and one of two groups of
  // eight columns.
  const unsigned low_row = lane % 16, low_column = lane / 16 * 8;
  const unsigned high_row = lane / 16 * 8 + lane % 8, high_column = lane / 8 % 2 * 8;
  // Keys that the warp's last row attends to: no tile beyond them is computed.
  const unsigned end_of_warp = visible_keys(args, sequence, first_row + warp_row + 16);

  const float scale = args.scale * kLog2E;
  float maxima[2] = {-float(INFINITY), -float(INFINITY)}, totals[2] = {0.0f, 0.0f};
  float sums[2 * CHUNKS][4];
#pragma unroll
  for (int n = 0; n < 2 * CHUNKS; ++n)
#pragma unroll
    for (int i = 0; i < 4; ++i) sums[n][i] = 0.0f;

  KeyCursor cursor;
  for (unsigned first_key = 0; first_key < end_key; first_key += Tile::kKeys) {
    if (threadIdx.x < Tile::kKeys)
      locate<E>(args, sequence, index, kv_head, first_key + threadIdx.x,
                first_key + threadIdx.x < end_key, cursor, addresses, threadIdx.x);
    block_sync();  // addresses are written, and the last tile was read
    load_words<E, CHUNKS, NARROW, Tile::kKeys>(
        [&](unsigned key) -> unsigned long long { return addresses.keys[key]; }, key_words,
        args.head_dim);
    load_words<E, CHUNKS, NARROW, Tile::kKeys>(
        [&](unsigned key) -> unsigned long long { return addresses.values[key]; }, value_words,
        args.head_dim);
    block_sync();
    if (first_key >= end_of_warp || warp_row >= num_rows) continue;

    float logits[kKeyTiles][4];
#pragma unroll
    for (unsigned n = 0; n < kKeyTiles; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) logits[n][i] = 0.0f;
#pragma unroll
    for (unsigned chunk = 0; chunk < unsigned(CHUNKS); ++chunk) {
      unsigned a[4];
      load_matrices(queries + ((warp_row + low_row) * kStride + 16 * chunk + low_column), a);
#pragma unroll
      for (unsigned n = 0; n < kKeyTiles; n += 2) {
        unsigned b[4];
        load_matrices(keys + ((8 * n + high_row) * kStride + 16 * chunk + high_column), b);
        mma<E::kIsBfloat>(logits[n], a, b[0], b[1]);
        mma<E::kIsBfloat>(logits[n + 1], a, b[2], b[3]);
      }
    }
#pragma unroll
    for (unsigned r = 0; r < 2; ++r) {
      const unsigned visible = visible_keys(args, sequence, first_row + rows[r] + 1);
      const unsigned end = visible < end_key ? visible : end_key;
      float maximum = maxima[r];
#pragma unroll
      for (unsigned n = 0; n < kKeyTiles; ++n)
#pragma unroll
        for (unsigned i = 0; i < 2; ++i) {
          float &logit = logits[n][2 * r + i];
          logit = first_key + 8 * n + pair + i < end ? logit * scale : -float(INFINITY);
          maximum = larger(maximum, logit);
        }
      maximum = larger(maximum, shuffle_xor(maximum, 1));
      maximum = larger(maximum, shuffle_xor(maximum, 2));
      const float shrink = exp2f(maxima[r] - maximum);
      maxima[r] = maximum;
      float total = totals[r] * shrink;
#pragma unroll
      for (unsigned n = 0; n < kKeyTiles; ++n)
#pragma unroll
        for (unsigned i = 0; i < 2; ++i) {
          float &logit = logits[n][2 * r + i];
          logit = exp2f(logit - maximum);
          total += logit;
        }
      totals[r] = total;
#pragma unroll
      for (int n = 0; n < 2 * CHUNKS; ++n) {
        sums[n][2 * r] *= shrink;
        sums[n][2 * r + 1] *= shrink;
      }
    }
#pragma unroll
    for (unsigned chunk = 0; chunk < Tile::kKeys / 16; ++chunk) {
      unsigned near[4], rest[4];
#pragma unroll
      for (unsigned i = 0; i < 4; ++i) {
        const float(&four)[4] = logits[2 * chunk + i / 2];
        split_pair<E>(four[i % 2 * 2], four[i % 2 * 2 + 1], near[i], rest[i]);
      }
#pragma unroll
      for (int n = 0; n < 2 * CHUNKS; n += 2) {
        unsigned b[4];
        load_matrices_transposed(values + ((16 * chunk + low_row) * kStride + 8 * n + low_column),
                                 b);
        mma<E::kIsBfloat>(sums[n], rest, b[0], b[1]);
        mma<E::kIsBfloat>(sums[n], near, b[0], b[1]);
        mma<E::kIsBfloat>(sums[n + 1], rest, b[2], b[3]);
        mma<E::kIsBfloat>(sums[n + 1], near, b[2], b[3]);
      }
    }
  }

#pragma unroll
  for (unsigned r = 0; r < 2; ++r) {
    float total = totals[r];
    total += shuffle_xor(total, 1);
    total += shuffle_xor(total, 2);
    if (rows[r] >= num_rows) continue;
    const size_t row = size_t(sequence.first_row) + first_row + rows[r];
    if (lane % 4 == 0 && !is_total(total))
      report(error, FP_DATA_INVALID_LOGITS, unsigned(row * args.num_heads + head), 0);
    const size_t begin = row * args.output_row_stride + size_t(head) * args.head_dim;
#pragma unroll
    for (int n = 0; n < 2 * CHUNKS; ++n) {
      const unsigned column = 8 * n + pair;
      const float low = sums[n][2 * r] / total, high = sums[n][2 * r + 1] / total;
      if constexpr (NARROW) {
        store_value<E>(args, row, head, column, low);
        store_value<E>(args, row, head, column + 1, high);
      } else if (column < args.head_dim) {
        global<unsigned>(args.output)[(begin + column) / 2] =
            E::join(E::narrow(low), E::narrow(high));
      }
    }
  }
}

}  // namespace fp
