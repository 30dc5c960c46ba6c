// Code shared by the attention kernels over lists of runs: sequences, location of keys, reading
// of rows.
//
// A sequence's keys and values are stored in runs, each of which other sequences may share.
// Kernels take keys in tiles of a fixed size by their index in the sequence, never by run, so
// that a result depends neither on how a sequence is split into runs nor on other sequences.
#pragma once

#include "check.cuh"
#include "group.cuh"

namespace fp {

/// Rows of D values that aren't whole 16-byte words are read and written value by value, by
/// separate kernels: for the tiny models of tests, up to this D.
constexpr unsigned kMaxNarrowDim = 64;

template <class E> constexpr bool is_narrow(unsigned head_dim) {
  return head_dim % E::kValues != 0;
}

/// Word `word` of a row of D values at `row`; zeros beyond its end, and if `row` is null.
template <class E, bool NARROW>
__device__ __forceinline__ uint4 load_word(unsigned long long row, unsigned word,
                                           unsigned head_dim) {
  using Stored = typename E::Stored;
  const unsigned first = word * E::kValues;
  if (row == 0 || first >= head_dim) return uint4{0, 0, 0, 0};
  const void *address = reinterpret_cast<const void *>(row);
  if constexpr (NARROW) {
    const Global<const Stored> values = global<const Stored>(address);
    float some[E::kValues];
#pragma unroll
    for (unsigned i = 0; i < E::kValues; ++i)
      some[i] = first + i < head_dim ? E::widen(values[first + i]) : 0.0f;
    return E::pack(some);
  } else {
    return global<const uint4>(address)[word];
  }
}

template <class E>
__device__ __forceinline__ unsigned long long row_address(const void *base, size_t offset) {
  return reinterpret_cast<unsigned long long>(base) + offset * sizeof(typename E::Stored);
}

/// Logits are scaled to base 2, so that a probability is one exp2 of a difference.
constexpr float kLog2E = 1.4426950408889634f;

__device__ __forceinline__ float larger(float a, float b) { return b > a ? b : a; }

/// Whether a sum of exponentials belongs to a valid softmax: no logit was NaN or infinite.
__device__ __forceinline__ bool is_total(float total) {
  return total > 0.0f && total <= 3.402823466e38f;
}

/// Whether the descriptor of a sequence is consistent in itself and with the launch.
__device__ inline bool is_sound(const fp_attention_args &args,
                                const fp_attention_sequence &sequence) {
  const bool has_rows = sequence.first_row <= args.num_rows &&
                        sequence.num_rows <= args.num_rows - sequence.first_row &&
                        sequence.num_rows <= args.max_rows;
  const bool has_runs = sequence.first_run <= args.num_runs &&
                        sequence.num_runs <= args.num_runs - sequence.first_run;
  const bool has_keys =
      args.is_causal ? size_t(sequence.first_key) + sequence.num_rows <= sequence.num_keys
                     : sequence.num_keys > 0 || sequence.num_rows == 0;
  return has_rows && has_runs && has_keys && sequence.num_keys <= args.max_keys;
}

/// Number of keys that the rows before `end_row` of a sequence attend to.
__device__ __forceinline__ unsigned visible_keys(const fp_attention_args &args,
                                                 const fp_attention_sequence &sequence,
                                                 unsigned end_row) {
  return args.is_causal ? sequence.first_key + end_row : sequence.num_keys;
}

/// The current run of a thread, whose keys are visited in ascending order.
struct KeyCursor {
  unsigned run = 0, begin = 0;
};

/// Advances to the run that holds `key`; false if the runs end before it.
__device__ __forceinline__ bool find_run(Global<const fp_attention_run> runs,
                                         const fp_attention_sequence &sequence, unsigned key,
                                         KeyCursor &cursor, fp_attention_run &run) {
  for (; cursor.run < sequence.num_runs; ++cursor.run) {
    run = runs[sequence.first_run + cursor.run];
    if (key - cursor.begin < run.length) return true;
    cursor.begin += run.length;
  }
  return false;
}

/// Addresses of a tile's keys and values; 0 beyond the last one.
struct TileAddresses {
  Shared<unsigned long long> keys, values;
};

/// One thread per key: finds the addresses of key `key` of the sequence and of its value for a
/// head.
template <class E>
__device__ __forceinline__ void locate(const fp_attention_args &args,
                                       const fp_attention_sequence &sequence, unsigned index,
                                       unsigned kv_head, unsigned key, bool is_there,
                                       KeyCursor &cursor, const TileAddresses &addresses,
                                       unsigned slot) {
  unsigned long long keys = 0, values = 0;
  if (is_there) {
    fp_attention_run run;
    if (find_run(global<const fp_attention_run>(args.runs), sequence, key, cursor, run)) {
      const size_t offset =
          kv_head * size_t(run.head_stride) + size_t(key - cursor.begin) * run.token_stride;
      keys = row_address<E>(run.keys, offset);
      values = row_address<E>(run.values, offset);
    } else {
      report(global<unsigned long long>(args.error), FP_DATA_BAD_SEQUENCE, index, 0);
    }
  }
  addresses.keys[slot] = keys;
  addresses.values[slot] = values;
}

/// Writes a value of an output row if the column exists.
template <class E>
__device__ __forceinline__ void store_value(const fp_attention_args &args, size_t row,
                                            unsigned head, unsigned column, float value) {
  if (column < args.head_dim)
    global<typename E::Stored>(args.output)[row * args.output_row_stride +
                                           size_t(head) * args.head_dim + column] =
        E::narrow(value);
}

/// Checks that all launchers share; FP_OK or the status of the failed check.
inline int check_attention(const fp_attention_args &args) {
  if (!args.queries || !args.output || !args.sequences || !args.runs || !args.error)
    return FP_NULL_POINTER;
  if (!is_dtype(args.dtype)) return FP_BAD_DTYPE;
  if (args.num_sequences == 0 || args.num_rows == 0 || args.max_rows == 0 || args.max_keys == 0 ||
      args.num_runs == 0 || args.num_heads == 0 || args.num_kv_heads == 0 || args.head_dim == 0 ||
      args.num_heads % args.num_kv_heads != 0 || args.max_rows > args.num_rows)
    return FP_BAD_SHAPE;
  const size_t per_word = FP_ALIGNMENT / dtype_bytes(args.dtype);
  const bool is_narrow = args.head_dim % per_word != 0;
  if (is_narrow && args.head_dim > kMaxNarrowDim) return FP_BAD_SHAPE;
  if (args.head_dim > FP_MAX_HEAD_DIM || args.num_heads > FP_MAX_HEADS ||
      args.num_sequences > kMaxGridYZ || args.max_keys > 1u << 24 ||
      size_t(args.num_rows) * args.num_heads > UINT32_MAX)
    return FP_TOO_LARGE;
  const size_t width = size_t(args.num_heads) * args.head_dim;
  if (args.query_row_stride < width || args.output_row_stride < width) return FP_BAD_SHAPE;
  if (args.is_causal > 1 || !(args.scale > 0.0f && args.scale < INFINITY)) return FP_BAD_OPTION;
  if (!is_narrow &&
      (!is_aligned(args.queries) || !is_aligned(args.output) ||
       (args.query_row_stride | args.output_row_stride) % per_word != 0))
    return FP_MISALIGNED;
  return FP_OK;
}

}  // namespace fp
