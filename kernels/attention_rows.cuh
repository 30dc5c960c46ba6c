// Loads queries and a tile of keys into shared memory, for attention_rows.cu.
#pragma once

#include "attention.cuh"

namespace fp {

constexpr unsigned kTileKeys = 32;  // one per lane
constexpr unsigned kTileThreads = 128;
/// Blocks per multiprocessor: many blocks hide the latency of reads.
constexpr unsigned kTileBlocks = 8;
constexpr unsigned kTileWarps = kTileThreads / kWarpSize;
constexpr unsigned kColumnThreads = 256;
/// Padding of rows in shared memory, so that lanes hit different banks.
constexpr unsigned kPadding = 4;

/// Words of a row that a lane holds before they are stored to shared memory.
template <class E>
constexpr unsigned kWordsOfLane = FP_MAX_HEAD_DIM / E::kValues / kWarpSize < 1
                                      ? 1
                                      : FP_MAX_HEAD_DIM / E::kValues / kWarpSize;
/// Words of the tile's keys that each thread has in flight.
constexpr unsigned kWordsAtOnce = 4;

/// Address of query row `row` of `head`.
template <class E>
__device__ __forceinline__ unsigned long long query_address(const fp_attention_rows_args &args,
                                                            unsigned sample, unsigned head,
                                                            unsigned row) {
  return row_address<E>(args.queries, sample * args.query_batch_stride +
                                          head * args.query_head_stride +
                                          row * args.query_row_stride);
}

/// Address of key `key` of the sample, in the single tensor or in the run that holds it; 0 for
/// keys that do not exist, which a valid descriptor never refers to.
template <class E>
__device__ __forceinline__ unsigned long long key_address(const fp_attention_rows_args &args,
                                                          unsigned sample, unsigned kv_head,
                                                          unsigned key) {
  if (key >= args.sequence_len) return 0;
  if (args.keys)
    return row_address<E>(args.keys, sample * args.key_batch_stride +
                                         kv_head * args.key_head_stride +
                                         size_t(key) * args.key_token_stride);
  const fp_attention_sequence sequence =
      global<const fp_attention_sequence>(args.sequences)[sample];
  const bool has_runs = sequence.first_run <= args.num_runs &&
                        sequence.num_runs <= args.num_runs - sequence.first_run &&
                        sequence.num_keys == args.sequence_len;
  KeyCursor cursor;
  fp_attention_run run;
  if (!has_runs ||
      !find_run(global<const fp_attention_run>(args.runs), sequence, key, cursor, run)) {
    report(global<unsigned long long>(args.error), FP_DATA_BAD_SEQUENCE, sample, 0);
    return 0;
  }
  return row_address<E>(run.keys, kv_head * size_t(run.head_stride) +
                                      size_t(key - cursor.begin) * run.token_stride);
}

/// Stores a word's values to shared memory as f32.
template <class E>
__device__ __forceinline__ void store_word(const uint4 &word, Shared<float4> target,
                                           unsigned place) {
  float values[E::kValues];
  E::unpack(word, values);
#pragma unroll
  for (unsigned four = 0; four < E::kValues / 4; ++four)
    target[place * (E::kValues / 4) + four] = float4{values[4 * four], values[4 * four + 1],
                                                      values[4 * four + 2], values[4 * four + 3]};
}

/// Row length in shared memory: whole words, zero beyond the values. Rows that aren't narrow
/// already consist of whole words and need no extra register.
template <class E, bool NARROW> __host__ __device__ constexpr unsigned padded_dim(unsigned head_dim) {
  return NARROW ? (head_dim + E::kValues - 1) / E::kValues * E::kValues : head_dim;
}

/// Copies the tile's keys to shared memory. Keys and their words are distributed over the whole
/// block, so that no lane is idle for any D and several loads are in flight at a time.
template <class E, bool NARROW>
__device__ __forceinline__ void load_keys(Shared<unsigned long long> addresses,
                                          Shared<float4> keys, unsigned head_dim,
                                          unsigned stride) {
  const unsigned num_words = padded_dim<E, NARROW>(head_dim) / E::kValues,
                 count = kTileKeys * num_words;
#pragma unroll 1
  for (unsigned first = threadIdx.x; first < count; first += kTileThreads * kWordsAtOnce) {
    uint4 words[kWordsAtOnce];
#pragma unroll
    for (unsigned i = 0; i < kWordsAtOnce; ++i) {
      const unsigned place = first + i * kTileThreads;
      const unsigned long long address = place < count ? addresses[place / num_words] : 0ull;
      words[i] = load_word<E, NARROW>(address, place % num_words, head_dim);
    }
#pragma unroll
    for (unsigned i = 0; i < kWordsAtOnce; ++i) {
      const unsigned place = first + i * kTileThreads;
      if (place < count)
        store_word<E>(words[i], keys + place / num_words * stride, place % num_words);
    }
  }
}

}  // namespace fp
