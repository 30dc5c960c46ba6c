// Number of threads per row, and of values that each thread holds.
#pragma once

#include "fp_kernels.h"

namespace fp {

template <int THREADS, int ELEMENTS> struct RowShape {
  static constexpr int kThreads = THREADS;
  static constexpr int kElements = ELEMENTS;
};

/// Calls `run(RowShape)` with the smallest shape that holds a row of N values. All launchers use
/// this function, so that they reduce rows in the same order.
template <class Run> int for_row_shape(unsigned num_image_tokens, const Run &run) {
  if (num_image_tokens <= 256) return run(RowShape<128, 2>());
  if (num_image_tokens <= 512) return run(RowShape<128, 4>());
  if (num_image_tokens <= 1024) return run(RowShape<128, 8>());
  if (num_image_tokens <= 2048) return run(RowShape<512, 4>());
  return run(RowShape<512, 8>());
}

}  // namespace fp
