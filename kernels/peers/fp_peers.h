/* Implementations that benchmarks compare the kernels with; not part of the interface. */
#ifndef FP_PEERS_H
#define FP_PEERS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* CUB's segmented sort of `[rows, length]` keys, ascending. With `workspace` NULL it only
 * writes the number of bytes that the workspace needs. `offsets`: [rows + 1], multiples of
 * `length`. Returns a cudaError_t. */
int fp_peer_segmented_sort(const float *keys, float *sorted, const uint32_t *offsets, uint32_t rows,
                           uint32_t length, void *workspace, size_t *workspace_bytes, void *stream);

#ifdef __cplusplus
}
#endif

#endif
