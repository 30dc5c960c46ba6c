// Tensor core operations of the emulation: a part of emulation.h, which alone includes it.
#pragma once

namespace fp {

namespace emulation {

/// The value at `index` of `row`, a shared-memory address that another lane passed.
inline unsigned matrix_value(uint64_t row, unsigned index) {
  return SharedRef<unsigned short>(this_block(), size_t(row) + index * sizeof(unsigned short));
}

inline void load_matrices(Shared<unsigned short> row, unsigned (&out)[4], bool is_transposed,
                          const char *file, int line) {
  const size_t place = row.place(8);
  if (place % 16) fault("a row of a matrix at byte %zu of shared memory", place);
  const uint64_t *rows = exchange_in_warp(place, file, line);
  const unsigned first = threadIdx.x % 32 / 4, pair = threadIdx.x % 4 * 2;
  for (unsigned i = 0; i < 4; ++i) {
    const uint64_t *matrix = rows + 8 * i;
    out[i] = is_transposed
                 ? matrix_value(matrix[pair], first) | matrix_value(matrix[pair + 1], first) << 16
                 : matrix_value(matrix[first], pair) | matrix_value(matrix[first], pair + 1) << 16;
  }
  // No lane writes there before the last lane has read.
  exchange_in_warp(0, file, line);
}

}  // namespace emulation

inline void load_matrices(Shared<unsigned short> row, unsigned (&out)[4], FP_SITE_PARAMETERS) {
  emulation::load_matrices(row, out, false, FP_SITE);
}
inline void load_matrices_transposed(Shared<unsigned short> row, unsigned (&out)[4],
                                     FP_SITE_PARAMETERS) {
  emulation::load_matrices(row, out, true, FP_SITE);
}

/// Each sum is exact except for one rounding at its end; a tensor core rounds differently.
template <bool IS_BFLOAT>
void mma(float (&sums)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, FP_SITE_PARAMETERS) {
  const auto two = [](unsigned low, unsigned high) { return low | uint64_t(high) << 32; };
  const uint64_t own[3] = {two(a[0], a[1]), two(a[2], a[3]), two(b0, b1)};
  const auto lanes = emulation::exchange_in_warp(own, 3, FP_SITE);
  const uint64_t *near = lanes[0], *far = lanes[1], *columns = lanes[2];
  const auto value = [](uint64_t word, unsigned index) {
    const auto bits = static_cast<unsigned short>(word >> 16 * index);
    return double(IS_BFLOAT ? bits_to_float(unsigned(bits) << 16) : half_to_float(bits));
  };
  const unsigned row = threadIdx.x % 32 / 4, column = threadIdx.x % 4 * 2;
  double rows[2][16];
  for (unsigned k = 0; k < 16; ++k) {
    const uint64_t word = (k < 8 ? near : far)[4 * row + k % 8 / 2];
    rows[0][k] = value(word, k % 2);
    rows[1][k] = value(word, 2 + k % 2);  // 16-bit values of row + 8 follow those of row
  }
  for (unsigned i = 0; i < 2; ++i) {
    double low = sums[i], high = sums[2 + i];
    for (unsigned k = 0; k < 16; ++k) {
      const double of_b = value(columns[4 * (column + i) + k % 8 / 2], k / 8 * 2 + k % 2);
      low += rows[0][k] * of_b;
      high += rows[1][k] * of_b;
    }
    sums[i] = float(low);
    sums[2 + i] = float(high);
  }
}

}  // namespace fp
