// Checks that launchers make of their arguments on the host.
#pragma once

#include "fp_kernels.h"

namespace fp {

inline bool is_aligned(const void *address) {
  return reinterpret_cast<uintptr_t>(address) % FP_ALIGNMENT == 0;
}

inline bool is_dtype(uint32_t dtype) { return dtype <= FP_BF16; }

inline size_t dtype_bytes(uint32_t dtype) { return dtype == FP_F32 ? 4 : 2; }

/// Whether rows of `width` values at these addresses all start and end at multiples of 16 bytes.
/// Null pointers are ignored.
template <class... Pointers>
bool is_aligned_row(size_t width, uint32_t dtype, const Pointers *...addresses) {
  return width * dtype_bytes(dtype) % FP_ALIGNMENT == 0 && (is_aligned(addresses) && ...);
}

/// Limit of the x dimension of a grid, which indexes rows.
constexpr uint32_t kMaxGridX = INT32_MAX;
/// Limit on the heads of a decoder's layer, far above any model.
constexpr uint32_t kMaxLayerHeads = 1024;
/// Limit of the y and z dimensions of a grid, which index samples.
constexpr uint32_t kMaxGridYZ = 65535;

/// Checks B, H and N; rows b·H + h and their values must fit the fields of the error word.
inline int check_sizes(uint32_t batch_size, uint32_t num_heads, uint32_t num_image_tokens) {
  if (batch_size == 0 || num_heads == 0 || num_image_tokens == 0) return FP_BAD_SHAPE;
  if (num_heads > FP_MAX_HEADS || num_image_tokens > FP_MAX_IMAGE_TOKENS ||
      batch_size > kMaxGridYZ)
    return FP_TOO_LARGE;
  return FP_OK;
}

/// Checks h against H, or R against N.
inline int check_count(uint32_t count, uint32_t of) {
  return count >= 1 && count <= of ? FP_OK : FP_BAD_COUNT;
}

inline int check_selection(const fp_selection &selection, uint32_t num_heads,
                           uint32_t num_image_tokens) {
  if (!selection.kept_tokens) return FP_NULL_POINTER;
  const int heads = check_count(selection.num_selected_heads, num_heads);
  return heads != FP_OK ? heads : check_count(selection.num_kept_tokens, num_image_tokens);
}

/// Checks that each strategy is known, below `limit`, and listed once.
inline int check_strategies(const fp_strategies &strategies, uint32_t limit) {
  if (strategies.count == 0 || strategies.count > FP_NUM_STRATEGIES) return FP_BAD_STRATEGY;
  uint32_t seen = 0;
  for (uint32_t i = 0; i < strategies.count; ++i) {
    if (strategies.id[i] >= limit || (seen >> strategies.id[i] & 1)) return FP_BAD_STRATEGY;
    seen |= 1u << strategies.id[i];
  }
  return FP_OK;
}

}  // namespace fp

/// Returns from the launcher if `status` isn't FP_OK.
#define FP_CHECK(status)                       \
  do {                                         \
    const int fp_status_ = (status);           \
    if (fp_status_ != FP_OK) return fp_status_; \
  } while (0)
