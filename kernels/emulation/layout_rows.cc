// For tests: sizes of the structures of fp_rows.h, to check bindings that are written by hand,
// and rounding to the 16-bit formats.

#include "../elements.cuh"

extern "C" size_t fp_emulation_size_of_rows(unsigned structure) {
  const size_t sizes[] = {sizeof(fp_norm_args),       sizeof(fp_kv_run),
                          sizeof(fp_rotary_append_args), sizeof(fp_gated_silu_args),
                          sizeof(fp_activate_args),   sizeof(fp_gather_rows_args),
                          sizeof(fp_greedy_choice),   sizeof(fp_greedy_args)};
  return structure < sizeof sizes / sizeof *sizes ? sizes[structure] : 0;
}

extern "C" unsigned short fp_emulation_narrow(float value, unsigned dtype) {
  return dtype == FP_F16 ? fp::F16::narrow(value) : fp::Bf16::narrow(value);
}
