// Attention of one query row per sequence over long lists of keys.
//
// A single row has little to compute and much to read. A block takes a range of a sequence's keys
// for all query heads that share them, so that every key and value is read once, and there are
// enough blocks to keep a whole GPU reading. A second launch adds up the ranges in ascending
// order; if a sequence has one range only, the first launch already writes the result. The number
// of ranges depends only on the row's keys.
#pragma once

#include "attention.cuh"

namespace fp {

constexpr unsigned kDecodeThreads = 128;
constexpr unsigned kDecodeWarps = kDecodeThreads / kWarpSize;
/// Keys that a block takes at a time; each thread finds the address of one of them.
constexpr unsigned kChunk = kDecodeThreads;
/// Most ranges per sequence; beyond 32 · 128 keys the ranges grow instead.
constexpr unsigned kMaxSplits = 32;
/// Words that each thread has in flight.
constexpr unsigned kAtOnce = 4;

/// How one row's keys are split.
struct Splits {
  unsigned count, length;
  __host__ __device__ explicit Splits(unsigned num_keys) {
    length = (num_keys + kChunk * kMaxSplits - 1) / (kChunk * kMaxSplits) * kChunk;
    count = (num_keys + length - 1) / length;
  }
};

/// The workspace: for each sequence, head and split D sums, a maximum and a total.
struct Partials {
  unsigned max_splits;
  size_t maxima, totals;  // offsets in floats; sums are at 0
  size_t floats_of_sequence;

  Partials() = default;
  explicit Partials(const fp_attention_args &args) {
    const unsigned chunks = (args.max_keys + kChunk - 1) / kChunk;
    max_splits = chunks < kMaxSplits ? chunks : kMaxSplits;
    floats_of_sequence = size_t(args.num_heads) * max_splits * (args.head_dim + 2);
  }
  /// Number of sequences whose partial results fit in the workspace together.
  unsigned at_once(unsigned num_sequences) const {
    const size_t fit = FP_MAX_ATTENTION_WORKSPACE / (floats_of_sequence * sizeof(float));
    return fit < num_sequences ? unsigned(fit) : num_sequences;
  }
};

struct DecodeArgs {
  fp_attention_args args;
  Partials partials;
  unsigned first_sequence;
};

/// Assignment of threads to words of rows of up to DIM values, for up to HEADS query heads.
template <class E, int DIM, int HEADS> struct DecodeTile {
  static constexpr unsigned kWords = DIM / E::kValues;
  static constexpr unsigned kLanes = kWords < kWarpSize ? kWords : kWarpSize;  // per row
  static constexpr unsigned kOfLane = kWords / kLanes;                         // words per lane
  static constexpr unsigned kValues = kOfLane * E::kValues;
  static constexpr unsigned kRows = kDecodeThreads / kLanes;  // rows that the block reads at once
  static constexpr size_t kSharedBytes =
      2 * kChunk * sizeof(unsigned long long) +
      (HEADS * DIM + HEADS * kChunk + 3 * ((HEADS + 3) & ~3) + kRows * HEADS * DIM) * sizeof(float);
};

/// Index in the workspace of a sequence's head and split.
__device__ __forceinline__ size_t slot_of(const DecodeArgs &decode, unsigned place, unsigned head,
                                          unsigned split) {
  return (size_t(place) * decode.args.num_heads + head) * decode.partials.max_splits + split;
}

/// Grid: splits, key heads times batches of query heads, sequences.
template <class E, int DIM, int HEADS, bool NARROW>
__global__ void __launch_bounds__(kDecodeThreads, kMinBlocks)
    decode_splits(const __grid_constant__ DecodeArgs decode) {
  using Tile = DecodeTile<E, DIM, HEADS>;
  const fp_attention_args &args = decode.args;
  const unsigned index = decode.first_sequence + blockIdx.z, split = blockIdx.x;
  const unsigned group = args.num_heads / args.num_kv_heads;
  const unsigned batches = (group + HEADS - 1) / HEADS;
  const unsigned kv_head = blockIdx.y / batches, first_of_group = blockIdx.y % batches * HEADS;
  const unsigned first_head = kv_head * group + first_of_group;
  const unsigned num_heads = group - first_of_group < HEADS ? group - first_of_group : HEADS;
  const fp_attention_sequence sequence =
      global<const fp_attention_sequence>(args.sequences)[index];
  const Global<unsigned long long> error = global<unsigned long long>(args.error);
  if (!is_sound(args, sequence)) {
    if (threadIdx.x == 0) report(error, FP_DATA_BAD_SEQUENCE, index, 0);
    return;
  }
  if (sequence.num_rows == 0) return;
  const unsigned num_keys = visible_keys(args, sequence, 1);
  const Splits splits(num_keys);
  if (split >= splits.count) return;
  const unsigned begin = split * splits.length;
  const unsigned end = num_keys - begin < splits.length ? num_keys : begin + splits.length;

  SharedArena arena;
  const TileAddresses addresses = {arena.take<unsigned long long>(kChunk),
                                   arena.take<unsigned long long>(kChunk)};
  const Shared<float4> query_fours = arena.take<float4>(HEADS * DIM / 4);
  const Shared<float> queries = shared_cast<float>(query_fours);
  const Shared<float> weights = arena.take<float>(HEADS * kChunk);
  // Per head: the maximum so far, the total, and the factor that rescales older sums after a
  // chunk.
  const Shared<float> maxima = arena.take<float>(HEADS);
  const Shared<float> totals = arena.take<float>(HEADS);
  const Shared<float> shrinks = arena.take<float>(HEADS);
  const Shared<float> partial = arena.take<float>(Tile::kRows * HEADS * DIM);

  const unsigned warp = threadIdx.x / kWarpSize;
  const unsigned lane = threadIdx.x % Tile::kLanes, row = threadIdx.x / Tile::kLanes;
  for (unsigned i = threadIdx.x; i < HEADS * DIM; i += kDecodeThreads) {
    const unsigned head = i / DIM, column = i % DIM;
    const size_t at = sequence.first_row * args.query_row_stride +
                      size_t(first_head + head) * args.head_dim + column;
    queries[i] = head < num_heads && column < args.head_dim
                     ? E::widen(global<const typename E::Stored>(args.queries)[at])
                     : 0.0f;
  }
  if (threadIdx.x < HEADS) {
    maxima[threadIdx.x] = -float(INFINITY);
    totals[threadIdx.x] = 0.0f;
  }
  float sums[HEADS][Tile::kValues];
#pragma unroll
  for (int h = 0; h < HEADS; ++h)
#pragma unroll
    for (unsigned i = 0; i < Tile::kValues; ++i) sums[h][i] = 0.0f;

  const float scale = args.scale * kLog2E;
  KeyCursor cursor;
  for (unsigned first = begin; first < end; first += kChunk) {
    const unsigned in_chunk = end - first < kChunk ? end - first : kChunk;
    locate<E>(args, sequence, index, kv_head, first + threadIdx.x, threadIdx.x < in_chunk, cursor,
              addresses, threadIdx.x);
    block_sync();

    // Logits: neighbouring lanes read the words of one key.
#pragma unroll 1
    for (unsigned base = 0; base < in_chunk; base += Tile::kRows * kAtOnce) {
      uint4 words[kAtOnce][Tile::kOfLane];
#pragma unroll
      for (unsigned k = 0; k < kAtOnce; ++k) {
        const unsigned key = base + k * Tile::kRows + row;
        const unsigned long long address = key < in_chunk ? addresses.keys[key] : 0ull;
#pragma unroll
        for (unsigned w = 0; w < Tile::kOfLane; ++w)
          words[k][w] = load_word<E, NARROW>(address, lane + w * Tile::kLanes, args.head_dim);
      }
#pragma unroll 1
      for (unsigned h = 0; h < num_heads; ++h) {
        float logits[kAtOnce] = {};
#pragma unroll
        for (unsigned w = 0; w < Tile::kOfLane; ++w) {
          const unsigned first_four = (h * DIM + (lane + w * Tile::kLanes) * E::kValues) / 4;
          float query[E::kValues];
#pragma unroll
          for (unsigned four = 0; four < E::kValues / 4; ++four) {
            const float4 some = query_fours[first_four + four];
            query[4 * four] = some.x;
            query[4 * four + 1] = some.y;
            query[4 * four + 2] = some.z;
            query[4 * four + 3] = some.w;
          }
#pragma unroll
          for (unsigned k = 0; k < kAtOnce; ++k) {
            float values[E::kValues];
            E::unpack(words[k][w], values);
#pragma unroll
            for (unsigned i = 0; i < E::kValues; ++i)
              logits[k] = fmaf(query[i], values[i], logits[k]);
          }
        }
#pragma unroll
        for (unsigned k = 0; k < kAtOnce; ++k) {
#pragma unroll
          for (unsigned mask = Tile::kLanes / 2; mask > 0; mask /= 2)
            logits[k] += shuffle_xor(logits[k], mask);
          const unsigned key = base + k * Tile::kRows + row;
          if (lane == 0 && key < in_chunk) weights[h * kChunk + key] = logits[k] * scale;
        }
      }
    }
    block_sync();

    // Weights: one warp per head.
    for (unsigned h = warp; h < num_heads; h += kDecodeWarps) {
      float logits[kChunk / kWarpSize];
      float maximum = maxima[h];
      const float before = maximum;
#pragma unroll
      for (unsigned i = 0; i < kChunk / kWarpSize; ++i) {
        const unsigned key = i * kWarpSize + threadIdx.x % kWarpSize;
        logits[i] = key < in_chunk ? float(weights[h * kChunk + key]) : -float(INFINITY);
        maximum = larger(maximum, logits[i]);
      }
#pragma unroll
      for (unsigned mask = kWarpSize / 2; mask > 0; mask /= 2)
        maximum = larger(maximum, shuffle_xor(maximum, mask));
      float total = 0.0f;
#pragma unroll
      for (unsigned i = 0; i < kChunk / kWarpSize; ++i) {
        const float weight = exp2f(logits[i] - maximum);
        weights[h * kChunk + i * kWarpSize + threadIdx.x % kWarpSize] = weight;
        total += weight;
      }
#pragma unroll
      for (unsigned mask = kWarpSize / 2; mask > 0; mask /= 2) total += shuffle_xor(total, mask);
      if (threadIdx.x % kWarpSize == 0) {
        const float shrink = exp2f(before - maximum);
        maxima[h] = maximum;
        shrinks[h] = shrink;
        totals[h] = totals[h] * shrink + total;
      }
    }
    block_sync();

    // Sums of values: each thread has the same words of every kRows-th value.
#pragma unroll
    for (int h = 0; h < HEADS; ++h) {
      if (h >= int(num_heads)) break;
      const float shrink = shrinks[h];
#pragma unroll
      for (unsigned i = 0; i < Tile::kValues; ++i) sums[h][i] *= shrink;
    }
#pragma unroll 1
    for (unsigned base = 0; base < in_chunk; base += Tile::kRows * kAtOnce) {
      uint4 words[kAtOnce][Tile::kOfLane];
#pragma unroll
      for (unsigned k = 0; k < kAtOnce; ++k) {
        const unsigned key = base + k * Tile::kRows + row;
        const unsigned long long address = key < in_chunk ? addresses.values[key] : 0ull;
#pragma unroll
        for (unsigned w = 0; w < Tile::kOfLane; ++w)
          words[k][w] = load_word<E, NARROW>(address, lane + w * Tile::kLanes, args.head_dim);
      }
#pragma unroll
      for (unsigned k = 0; k < kAtOnce; ++k) {
        const unsigned key = base + k * Tile::kRows + row;
        if (key >= in_chunk) continue;
#pragma unroll
        for (unsigned w = 0; w < Tile::kOfLane; ++w) {
          float values[E::kValues];
          E::unpack(words[k][w], values);
#pragma unroll
          for (int h = 0; h < HEADS; ++h) {
            if (h >= int(num_heads)) break;
            const float weight = weights[h * kChunk + key];
#pragma unroll
            for (unsigned i = 0; i < E::kValues; ++i)
              sums[h][w * E::kValues + i] =
                  fmaf(weight, values[i], sums[h][w * E::kValues + i]);
          }
        }
      }
    }
    block_sync();  // weights and addresses can be overwritten
  }

#pragma unroll
  for (int h = 0; h < HEADS; ++h)
#pragma unroll
    for (unsigned w = 0; w < Tile::kOfLane; ++w)
#pragma unroll
      for (unsigned i = 0; i < E::kValues; ++i)
        partial[(row * HEADS + h) * DIM + (lane + w * Tile::kLanes) * E::kValues + i] =
            sums[h][w * E::kValues + i];
  block_sync();
  const Global<float> workspace = global<float>(args.workspace);
  for (unsigned i = threadIdx.x; i < num_heads * DIM; i += kDecodeThreads) {
    const unsigned h = i / DIM, column = i % DIM, head = first_head + h;
    float sum = 0.0f;
#pragma unroll 1
    for (unsigned r = 0; r < Tile::kRows; ++r) sum += partial[(r * HEADS + h) * DIM + column];
    const float total = totals[h];
    if (splits.count == 1) {
      if (column == 0 && !is_total(total))
        report(error, FP_DATA_INVALID_LOGITS, sequence.first_row * args.num_heads + head, 0);
      store_value<E>(args, sequence.first_row, head, column, sum / total);
      continue;
    }
    const size_t slot = slot_of(decode, blockIdx.z, head, split);
    if (column < args.head_dim) workspace[slot * args.head_dim + column] = sum;
    if (column == 0) {
      workspace[decode.partials.maxima + slot] = maxima[h];
      workspace[decode.partials.totals + slot] = total;
    }
  }
}

}  // namespace fp
