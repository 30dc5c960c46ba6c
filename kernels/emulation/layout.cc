// Sizes of the argument structures, to check bindings that are written by hand.

#include "../fp_kernels.h"

extern "C" size_t fp_emulation_size_of(unsigned arguments) {
  const size_t sizes[] = {sizeof(fp_attention_rows_args), sizeof(fp_query_weights_args),
                          sizeof(fp_combine_rows_args),   sizeof(fp_head_score_args),
                          sizeof(fp_compare_heads_args),  sizeof(fp_select_args),
                          sizeof(fp_fused_args),          sizeof(fp_gather_tokens_args),
                          sizeof(fp_gather_positions_args), sizeof(fp_attention_run),
                          sizeof(fp_attention_sequence),  sizeof(fp_attention_args)};
  return arguments < sizeof sizes / sizeof *sizes ? sizes[arguments] : 0;
}
