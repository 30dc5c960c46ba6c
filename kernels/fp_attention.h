/* Attention of a decoder's or tower's layers: part of fp_kernels.h, which includes it. */
#ifndef FP_ATTENTION_H
#define FP_ATTENTION_H

/* ---- attention: rows of a list of sequences, each over a list of runs of keys -------- */

/* Keys and values of consecutive tokens of one layer: head g of token j starts at
 * g·head_stride + j·token_stride. A run of a KV cache `[H_kv, capacity, D]` has a head stride
 * of capacity·D and a token stride of D; keys inside a projection `[T, width]` have D and
 * width. Runs may be shared by any number of sequences. If D values are whole 16-byte
 * words, addresses and strides are multiples of 16 bytes too. */
typedef struct fp_attention_run {
  const void *keys, *values;
  uint64_t head_stride;  /* values */
  uint32_t token_stride; /* values */
  uint32_t length;       /* tokens; may be 0 */
} fp_attention_run;

/* One sequence of one layer: its rows in the packed queries and outputs, and its keys. */
typedef struct fp_attention_sequence {
  uint32_t first_row, num_rows; /* num_rows may be 0 */
  /* For the sequence's first row: row i attends to keys 0..=first_key + i if causal. */
  uint32_t first_key;
  uint32_t num_keys;            /* the sum of its runs' lengths */
  uint32_t first_run, num_runs; /* in the layer's runs */
} fp_attention_sequence;

/* Sequences and runs are arrays of one layer in device memory. The host writes those of all
 * layers into one buffer, uploads it once per step and passes each layer its part. */
typedef struct fp_attention_args {
  const void *queries; /* [T, query_row_stride]: head h of row t at column h·D */
  void *output;        /* [T, output_row_stride]: the same; other rows are not written */
  const fp_attention_sequence *sequences; /* [num_sequences] */
  const fp_attention_run *runs;           /* [num_runs] */
  void *workspace;     /* only for decoding: fp_attention_decode_workspace bytes */
  uint64_t *error;
  size_t workspace_bytes;
  size_t query_row_stride, output_row_stride; /* values, at least H·D */
  uint32_t num_sequences, num_runs;
  uint32_t num_rows;                     /* T, of all sequences */
  uint32_t max_rows, max_keys;           /* the most of any sequence */
  /* Head h reads key head h·H_kv/H. Rows of D > 64 must be whole 16-byte words. */
  uint32_t num_heads, num_kv_heads, head_dim;
  float scale;                           /* usually 1/√D */
  uint32_t dtype;                        /* of queries, keys, values and output */
  uint32_t is_causal;                    /* 0: every row attends to all its keys */
} fp_attention_args;

/* Any number of rows per sequence. A row's result depends only on its own keys: not on other
 * sequences, other rows, or how keys are split into runs. No workspace. */
int fp_attention_prefill(const fp_attention_args *args, void *stream);

/* One row per sequence (max_rows 1), its keys read by many blocks. How they are split depends
 * only on the row's keys. Bits may differ from those of fp_attention_prefill. */
int fp_attention_decode(const fp_attention_args *args, void *stream);
/* Bytes, at most FP_MAX_ATTENTION_WORKSPACE, or 0 if none are needed or sizes are out of
 * range. Reads only the sizes of `args`. */
size_t fp_attention_decode_workspace(const fp_attention_args *args);


#endif
