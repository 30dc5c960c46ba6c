/* C interface of the CUDA kernels.
 *
 * Every pointer is to device memory unless documented as host memory. A launcher checks what it can
 * without the device, enqueues its kernels on `stream` (a cudaStream_t) and returns:
 * it neither allocates nor synchronises, so that a CUDA graph can capture it.
 *
 * It returns FP_OK, a negative fp_status for invalid arguments, or a positive cudaError_t of
 * the launch. Errors in the *data* are found on the device and written to an error word, see
 * fp_data_error.
 *
 * Tensors are dense and row-major unless strides are given. B samples, H attention heads,
 * N image tokens, Q query rows, S positions of the sequence, h selected heads, R kept
 * tokens. All reductions run in a fixed order: the same input gives the same bits, in any
 * batch.
 */
#ifndef FP_KERNELS_H
#define FP_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  FP_MAX_IMAGE_TOKENS = 4096, /* N */
  FP_MAX_HEADS = 128,         /* H */
  FP_MAX_HEAD_DIM = 256,      /* D of attention and attention_rows */
  FP_MAX_ATTENTION_WORKSPACE = 64 << 20, /* bytes */
  FP_NUM_STRATEGIES = 12,
  FP_NUM_OWN_STRATEGIES = 9, /* those that use one head at a time: 0..9 */
  FP_ALIGNMENT = 16          /* bytes, where a launcher requires alignment */
};

/* Reasons for which a launcher refuses its arguments. */
typedef enum fp_status {
  FP_OK = 0,
  FP_NULL_POINTER = -1,
  FP_BAD_SHAPE = -2,           /* a dimension of 0, or dimensions that contradict each other */
  FP_TOO_LARGE = -3,           /* a dimension above its FP_MAX_… or beyond the range of indices */
  FP_BAD_DTYPE = -4,           /* not one of fp_dtype */
  FP_BAD_OPTION = -5,          /* not one of an enum's values, or a bad scale */
  FP_BAD_COUNT = -6,           /* h outside 1..=H or R outside 1..=N */
  FP_BAD_STRATEGY = -7,        /* none, unknown, named twice, or not for this launcher */
  FP_MISALIGNED = -8,          /* an address, stride or row that isn't a multiple of 16 bytes */
  FP_WORKSPACE_TOO_SMALL = -9, /* see the …_workspace function */
  FP_EMULATION_FAULT = -99     /* emulation only: see fp_emulation_fault */
} fp_status;

/* English name of a status or CUDA error; static storage. */
const char *fp_status_string(int status);
/* CUDA runtime of this build: 1000·major + 10·minor. The driver must be at least as new. */
int fp_runtime_version(void);

typedef enum fp_dtype { FP_F32 = 0, FP_F16 = 1, FP_BF16 = 2 } fp_dtype;

typedef enum fp_normalization { FP_L1 = 0, FP_SOFTMAX = 1 } fp_normalization;

/* Head strategies, in the order of the study. */
typedef enum fp_strategy {
  FP_SUM = 0,
  FP_VARIANCE = 1,
  FP_ENTROPY = 2,
  FP_MAX_ATTENTION = 3,
  FP_ATTENTION_RANGE = 4,
  FP_SPARSITY = 5,
  FP_TOP_K_SUM = 6,
  FP_WEIGHTED_QUALITY = 7,
  FP_GINI_COEFFICIENT = 8,
  FP_MULTI_OBJECTIVE = 9,
  FP_GRAPH_BASED = 10,
  FP_HIERARCHICAL = 11
} fp_strategy;

/* Strategies, in the order of their slots in `[B, count, H]` scores. */
typedef struct fp_strategies {
  uint32_t count;                /* 1..=FP_NUM_STRATEGIES */
  uint8_t id[FP_NUM_STRATEGIES]; /* the first `count` are used; each at most once */
} fp_strategies;

/* The error word: one uint64_t that every launcher takes. The caller sets it to
 * FP_NO_DATA_ERROR before the first launch and reads it after the last. A kernel that
 * finds an error lowers it to
 *     row << 32 | position << 8 | code
 * by an atomic minimum, so the lowest row is named in any order of execution. After an error the
 * outputs are unspecified, but nothing outside them was written. */
#define FP_NO_DATA_ERROR UINT64_MAX

typedef enum fp_data_error {
  /* A value that no softmax produces: NaN, infinite or negative. Row b·H + h (for
   * combine_rows and query_weights (b·H + h)·Q + q), position: image token. */
  FP_DATA_INVALID_ATTENTION = 1,
  /* No head of the sample attends to the image at all. Row: sample. */
  FP_DATA_NO_ATTENTION = 2,
  /* Queries or keys whose softmax is NaN. Row (b·H + h)·Q + q. */
  FP_DATA_INVALID_LOGITS = 3,
  /* A kept token outside 0..N or not above the one before it. Row: sample; position: i. */
  FP_DATA_BAD_INDEX = 4,
  /* A query row outside 0..S, row: q; for rotary_append a position without angles, row: t. */
  FP_DATA_BAD_POSITION = 5,
  /* An index of a row that does not exist. Row: t; position: 0 table, 1 features. */
  FP_DATA_BAD_ROW = 6,
  /* A run or slot of a KV cache that does not exist. Row: t. */
  FP_DATA_BAD_SLOT = 7,
  /* A sequence of attention whose rows, keys or runs contradict each other or the launch.
   * Row: sequence. */
  FP_DATA_BAD_SEQUENCE = 8
} fp_data_error;

#include "fp_attention.h"

/* ---- attention_rows: queries and keys of layer K → attention to the image ---------- */

typedef struct fp_attention_rows_args {
  const void *queries; /* [B, H, Q, D], rotated; D contiguous; 16-byte aligned */
  const void *keys;    /* [B, H_kv, S, D], rotated; D contiguous; 16-byte aligned; or NULL */
  /* [Q], positions in the sequence: row q attends to keys 0..=position */
  const uint32_t *row_positions;
  /* Query weights [Q] (stride 0) or [B, Q], or NULL. With weights the output is
   * Σ_q w_q a[b, h, q, n], `[B, H, N]`; without them every row, `[B, H, Q, N]`. */
  const double *weights;
  float *attention;          /* out */
  void *workspace;           /* fp_attention_rows_workspace bytes; 16-byte aligned */
  uint64_t *error;           /* the error word */
  size_t workspace_bytes;
  /* Strides in elements, each a multiple of 16 bytes. */
  size_t query_batch_stride, query_head_stride, query_row_stride;
  size_t key_batch_stride, key_head_stride, key_token_stride;
  size_t weights_batch_stride;
  uint32_t batch_size, num_heads, num_kv_heads; /* head h reads key head h·H_kv/H */
  uint32_t num_rows, sequence_len, head_dim;    /* Q, S, D: above 64 whole 16-byte words */
  uint32_t image_start, num_image_tokens;       /* the image is at start..start + N */
  float scale;                                  /* usually 1/√D */
  uint32_t dtype;                               /* of queries and keys */
  /* If `keys` is NULL: keys in runs. Sequence b of [B] has S keys. Only the keys and runs of
   * a sequence are read, and only the keys of a run. */
  const fp_attention_sequence *sequences;
  const fp_attention_run *runs; /* [num_runs] */
  uint32_t num_runs;
} fp_attention_rows_args;

int fp_attention_rows(const fp_attention_rows_args *args, void *stream);
/* Bytes, or 0 if the sizes are out of range. Reads only the sizes of `args`. */
size_t fp_attention_rows_workspace(const fp_attention_rows_args *args);

/* ---- query_weights, combine_rows: weights that depend on attention ----------------- */

typedef enum fp_weighting {
  FP_SOFTMAX_OF_TOTALS = 0, /* attention_weighted */
  FP_LARGEST_TOTAL = 1      /* max_attention_token: weight 1, ties to the lower row */
} fp_weighting;

typedef struct fp_query_weights_args {
  const void *rows; /* [B, H, Q, N] */
  double *totals;   /* out [B, Q]: Σ_h Σ_n */
  double *weights;  /* out [B, Q], sum 1 */
  uint64_t *error;
  uint32_t batch_size, num_heads, num_rows, num_image_tokens;
  uint32_t num_unseen_rows; /* omitted rows before the image: their totals are 0 */
  uint32_t dtype, weighting;
} fp_query_weights_args;

int fp_query_weights(const fp_query_weights_args *args, void *stream);

typedef struct fp_combine_rows_args {
  const void *rows;      /* [B, H, Q, N] */
  const double *weights; /* [Q] (stride 0) or [B, Q] */
  float *attention;      /* out [B, H, N]: Σ_q w_q a[b, h, q, n], summed in f64 */
  uint64_t *error;
  size_t weights_batch_stride;
  uint32_t batch_size, num_heads, num_rows, num_image_tokens;
  uint32_t dtype;
} fp_combine_rows_args;

int fp_combine_rows(const fp_combine_rows_args *args, void *stream);

/* ---- head_score: all statistics of a row in one read ------------------------------- */

/* Statistics of one row a and its distribution p, in f64. Those of p are 0 for a row without
 * mass under FP_L1. `top_k_sum` and `gini` are NaN if no strategy needs them. */
typedef struct fp_head_statistics {
  double sum, mean, variance, max, min;
  double top_k_sum;                            /* of the 10 largest */
  double p_max, p_squares, p_entropy, p_count; /* count: of p above 0.01 */
  double gini;
} fp_head_statistics;

typedef struct fp_head_score_args {
  const void *attention;          /* [B, H, N] */
  double *scores;                 /* out [B, strategies, H]; −∞ for no mass under FP_L1 */
  fp_head_statistics *statistics; /* out [B, H], or NULL */
  uint64_t *error;
  uint32_t batch_size, num_heads, num_image_tokens;
  uint32_t dtype, normalization;
  fp_strategies strategies; /* only slots of the first nine are written */
} fp_head_score_args;

int fp_head_score(const fp_head_score_args *args, void *stream);

/* ---- compare_heads: the three strategies that compare heads ------------------------ */

/* A cut of a ranking, for audits. If nothing was dropped, `first_dropped` is NaN and the
 * counts are 0. */
typedef struct fp_cut {
  double last_kept, first_dropped;
  double min, max; /* of the finite scores; +∞, −∞ if there are none */
  uint32_t num_tied, num_tied_kept;
} fp_cut;

typedef struct fp_compare_heads_args {
  const void *attention; /* [B, H, N] */
  double *scores;        /* out [B, strategies, H]: the slots of the last three strategies */
  fp_cut *coarse_cuts;   /* out [B], of `hierarchical`'s first choice, or NULL */
  void *workspace;       /* fp_compare_heads_workspace bytes; 16-byte aligned */
  uint64_t *error;
  size_t workspace_bytes;
  uint32_t batch_size, num_heads, num_image_tokens;
  uint32_t num_selected_heads; /* h, which `hierarchical` depends on */
  uint32_t dtype, normalization;
  fp_strategies strategies;
} fp_compare_heads_args;

int fp_compare_heads(const fp_compare_heads_args *args, void *stream);
/* Bytes, or 0 if the sizes are out of range. Reads only the sizes of `args`. */
size_t fp_compare_heads_workspace(const fp_compare_heads_args *args);

/* ---- select: scores → heads → importance → kept tokens ------------------------------ */

typedef struct fp_selection_audit {
  fp_cut heads, tokens;
  uint32_t is_head_score_constant;
  uint32_t num_nan_heads; /* scores that are NaN; they rank last */
} fp_selection_audit;

/* Sizes and outputs of a selection. */
typedef struct fp_selection {
  uint32_t *selected_heads;   /* out [B, strategies, h], ascending, or NULL */
  double *token_importance;   /* out [B, strategies, N], or NULL */
  uint32_t *kept_tokens;      /* out [B, strategies, R], ascending */
  fp_selection_audit *audits; /* out [B, strategies], or NULL */
  uint32_t num_selected_heads, num_kept_tokens; /* h, R */
} fp_selection;

typedef struct fp_select_args {
  const void *attention; /* [B, H, N] */
  const double *scores;  /* [B, strategies, H] */
  /* [B, H], or NULL. With them, a sample whose sums are all 0 is FP_DATA_NO_ATTENTION. */
  const fp_head_statistics *statistics;
  uint64_t *error;
  fp_selection selection;
  uint32_t batch_size, num_heads, num_image_tokens, num_strategies;
  uint32_t dtype;
} fp_select_args;

int fp_select(const fp_select_args *args, void *stream);

/* ---- fused: head_score and select for the first nine strategies --------------------- */

typedef struct fp_fused_args {
  const void *attention;          /* [B, H, N] */
  double *scores;                 /* out [B, strategies, H] */
  fp_head_statistics *statistics; /* out [B, H], or NULL if allow_degenerate */
  uint64_t *error;
  fp_selection selection;
  uint32_t batch_size, num_heads, num_image_tokens;
  uint32_t dtype, normalization;
  uint32_t allow_degenerate; /* 0: a sample without any mass is FP_DATA_NO_ATTENTION */
  fp_strategies strategies;  /* only of the first nine */
  uint32_t path;             /* fp_fused_path */
} fp_fused_args;

typedef enum fp_fused_path {
  FP_PATH_AUTO = 0,    /* one cluster launch if device and sizes allow and all clusters run at
                        * once (8·B ≤ multiprocessors), otherwise two */
  FP_PATH_CLUSTER = 1, /* one launch of clusters: sm_90, H ≤ 64, N ≤ 2048; otherwise an error */
  FP_PATH_TWO = 2      /* fp_head_score, then fp_select */
} fp_fused_path;

int fp_fused(const fp_fused_args *args, void *stream);

/* ---- gather_tokens: the kept part of a sequence ------------------------------------- */

/* For each `[B, outer]`, the output rows are the system, then the kept image tokens, then
 * the text: num_system + R + num_text rows. */
typedef struct fp_gather_tokens_args {
  /* [B, outer, S, row]: hidden states (outer 1) or keys or values (outer H_kv), with
   * S = num_system + N + num_text; 16-byte aligned */
  const void *source;
  void *target;                /* [B, outer, num_system + R + num_text, row]; no overlap */
  const uint32_t *kept_tokens; /* [B, R] with a stride, ascending, image-relative */
  uint64_t *error;
  size_t kept_batch_stride;                       /* elements; 0: the same for every sample */
  size_t source_batch_stride, source_outer_stride; /* bytes, multiples of 16 */
  uint32_t batch_size, outer, row_bytes;          /* row_bytes: a multiple of 16 */
  uint32_t num_system, num_image_tokens, num_text, num_kept_tokens;
} fp_gather_tokens_args;

int fp_gather_tokens(const fp_gather_tokens_args *args, void *stream);

typedef struct fp_gather_positions_args {
  const uint32_t *kept_tokens; /* as above */
  uint32_t *positions;         /* out [B, num_system + R + num_text], original positions */
  uint64_t *error;
  size_t kept_batch_stride;
  uint32_t batch_size;
  uint32_t num_system, num_image_tokens, num_text, num_kept_tokens;
} fp_gather_positions_args;

int fp_gather_positions(const fp_gather_positions_args *args, void *stream);

#include "fp_rows.h"

#ifdef __cplusplus
}
#endif

#endif
