// Tests of the matrix primitives: correct, and with one mistake each.

#include "device.cuh"

namespace fp {
namespace {

enum ProductMistake : unsigned {
  kSound,
  kMatrixRowMisaligned,
  kMatrixRowBeyondArray,
  kMatrixNotLoaded,
  kLoadInBranch,
  kProductInBranch,
};

struct ProductArgs {
  const uint4 *a, *b; /* [16, 16] and [16, 8] */
  float *sums;        /* [16, 8] */
  unsigned is_bfloat, mistake;
};

/// sums += a · b by one warp, through shared memory as in a real kernel.
__global__ void product(const __grid_constant__ ProductArgs args) {
  SharedArena arena;
  const Shared<uint4> a_words = arena.take<uint4>(32), b_words = arena.take<uint4>(32);
  const Shared<unsigned short> a = shared_cast<unsigned short>(a_words);
  const Shared<unsigned short> b = shared_cast<unsigned short>(b_words);
  const unsigned lane = threadIdx.x;
  if (args.mistake != kMatrixNotLoaded || lane != 3)
    a_words[lane] = global<const uint4>(args.a)[lane];
  // A row of b is one word; loaded twice, since four matrices are loaded at a time.
  b_words[lane] = global<const uint4>(args.b)[lane % 16];
  warp_sync();
  unsigned left[4], right[4];
  const unsigned first = args.mistake == kMatrixRowMisaligned && lane == 5    ? 1
                         : args.mistake == kMatrixRowBeyondArray && lane == 5 ? 249
                                                                              : 0;
  const bool skips = lane == 9;
  if (args.mistake != kLoadInBranch || !skips)
    load_matrices(a + (first ? first : lane % 16 * 16 + lane / 16 * 8), left);
  load_matrices_transposed(b + lane * 8, right);
  const unsigned row = lane / 4, column = lane % 4 * 2;
  const Global<float> sums = global<float>(args.sums);
  float own[4];
  for (unsigned i = 0; i < 4; ++i) own[i] = sums[(row + i / 2 * 8) * 8 + column + i % 2];
  if (args.mistake != kProductInBranch || !skips) {
    if (args.is_bfloat)
      mma<true>(own, left, right[0], right[1]);
    else
      mma<false>(own, left, right[0], right[1]);
  }
  for (unsigned i = 0; i < 4; ++i) sums[(row + i / 2 * 8) * 8 + column + i % 2] = own[i];
}

}  // namespace
}  // namespace fp

extern "C" int fp_emulation_product(const void *a, const void *b, float *sums, unsigned is_bfloat,
                                    unsigned mistake) {
  using namespace fp;
  const ProductArgs args = {static_cast<const uint4 *>(a), static_cast<const uint4 *>(b), sums,
                            is_bfloat, mistake};
  return launch(product, {dim3(1), 32, 1024, 1}, nullptr, args);
}
