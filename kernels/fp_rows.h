/* C interface of the operations on rows of a decoder and a vision tower; part of
 * fp_kernels.h, whose conventions apply.
 *
 * T rows, D or M values of a row. Any width is supported; rows that start at multiples of 16
 * bytes are read by 16-byte accesses. A row's result depends only on the row: not on
 * T, on other rows, or on alignment. Values are read as f32, computed in f32 and rounded
 * to the format once, where they are written. All tensors of a call have one format, unless
 * said otherwise.
 */
#ifndef FP_ROWS_H
#define FP_ROWS_H

enum {
  FP_MAX_WIDTH = 16384,         /* D of norms */
  FP_MAX_INNER_WIDTH = 1 << 20, /* M of activations */
  FP_MAX_ROW_BYTES = 1 << 24,   /* of gathered rows */
  FP_MAX_VOCABULARY = 1 << 24   /* V of greedy */
};

/* ---- norm: RMS norm and layer norm, with the addition to the residual stream ------- */

/* bias NULL: out = x / √(mean(x²) + ε) · weight (RMS norm)
 * bias:      out = (x − mean) / √(variance + ε) · weight + bias (layer norm, with the
 *            population variance)
 * With `add`, x is first replaced by x + add, rounded to the format; the result is that of
 * an addition and a norm one after the other. */
typedef struct fp_norm_args {
  void *x;            /* [T, D]; written if add is given */
  const void *add;    /* [T, D], or NULL */
  const void *weight; /* [D] */
  const void *bias;   /* [D], or NULL */
  void *out;          /* [T, D] */
  uint32_t num_rows, width; /* T, D */
  float epsilon;
  uint32_t dtype;
} fp_norm_args;

int fp_norm(const fp_norm_args *args, void *stream);

/* ---- rotary_append: rotary embedding, and new keys and values into their cache ------ */

/* A run of a KV cache: keys and values of consecutive tokens, `[H_kv, capacity, D]` each,
 * 16-byte aligned. */
typedef struct fp_kv_run {
  void *keys, *values;
  uint64_t capacity; /* in tokens */
} fp_kv_run;

/* In each row, the H queries and H_kv keys are rotated: value i of the first half of a head
 * and value i of its second half, (a, b) → (a cos − b sin, b cos + a sin). Rotated keys, and
 * unchanged values, are written to slot `slots[t]` of run `runs[t]`. A row whose position, run
 * or slot does not exist is named by the error word and not written. No two rows may share a
 * slot. */
typedef struct fp_rotary_append_args {
  const void *projected;     /* [T, (H + 2·H_kv)·D]: queries, keys and values side by side */
  void *queries;             /* out [T, H·D] with a stride; may be `projected` itself */
  const float *cosines;      /* [P, D/2], by position */
  const float *sines;        /* [P, D/2] */
  const uint32_t *positions; /* [T] */
  const uint32_t *runs;      /* [T], indices into run_table */
  const uint32_t *slots;     /* [T], tokens in the run */
  const fp_kv_run *run_table; /* [R] */
  uint64_t *error;
  size_t projected_stride, query_stride; /* values from row to row */
  uint32_t num_rows;                     /* T */
  uint32_t num_heads, num_kv_heads, head_dim;
  uint32_t num_positions, num_runs; /* P, R */
  uint32_t dtype;                   /* of all but cosines and sines */
} fp_rotary_append_args;

int fp_rotary_append(const fp_rotary_append_args *args, void *stream);

/* ---- gated_silu, activate: operations between the products of an MLP ---------------- */

typedef struct fp_gated_silu_args {
  const void *gates_and_ups; /* [T, 2·M]: gates, then ups */
  const void *bias;          /* [2·M], added first, or NULL */
  void *out;                 /* [T, M]: silu(gate) · up, silu(x) = x / (1 + e^−x) */
  uint32_t num_rows, width;  /* T, M */
  uint32_t dtype;
} fp_gated_silu_args;

int fp_gated_silu(const fp_gated_silu_args *args, void *stream);

typedef enum fp_activation {
  FP_NO_ACTIVATION = 0, /* only the bias */
  FP_QUICK_GELU = 1,    /* x / (1 + e^(−1.702 x)) */
  FP_GELU = 2,          /* x · Φ(x) */
  FP_GELU_TANH = 3      /* x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³))) */
} fp_activation;

typedef struct fp_activate_args {
  const void *x;            /* [T, M] */
  const void *bias;         /* [M], added first, or NULL */
  void *out;                /* [T, M]; may be x itself */
  uint32_t num_rows, width; /* T, M */
  uint32_t dtype, activation;
} fp_activate_args;

int fp_activate(const fp_activate_args *args, void *stream);

/* ---- gather_rows: rows by index, of an embedding and of image features -------------- */

/* In feature_rows: this row of out comes from the table. */
#define FP_FROM_TABLE UINT32_MAX

/* Row t of out is row `feature_rows[t]` of the features if that is given and isn't
 * FP_FROM_TABLE, otherwise row `indices[t]` of the table. Rows are moved as bytes. */
typedef struct fp_gather_rows_args {
  const void *table;            /* [V, row] with a stride */
  const void *features;         /* [F, row] with a stride, or NULL */
  const uint32_t *indices;      /* [T] */
  const uint32_t *feature_rows; /* [T]; NULL if features is */
  void *out;                    /* [T, row], dense; no overlap */
  uint64_t *error;
  size_t table_stride, feature_stride; /* bytes */
  uint32_t num_rows, row_bytes;        /* T; even */
  uint32_t table_rows, num_features;   /* V, F */
} fp_gather_rows_args;

int fp_gather_rows(const fp_gather_rows_args *args, void *stream);

/* ---- greedy: the next token in greedy decoding -------------------------------------- */

/* What greedy decoding needs of a sequence's logits. */
typedef struct fp_greedy_choice {
  uint32_t token;     /* with the largest logit, ties to the lower */
  float margin;       /* largest minus second largest; +∞ if no second is above −∞ */
  uint32_t is_finite; /* 1: every logit is finite; otherwise token and margin ignore NaN */
} fp_greedy_choice;

typedef struct fp_greedy_args {
  const void *logits;        /* [B, V], dense */
  fp_greedy_choice *choices; /* out [B] */
  uint32_t batch_size, vocabulary;
  uint32_t dtype;
} fp_greedy_args;

int fp_greedy(const fp_greedy_args *args, void *stream);

#endif
