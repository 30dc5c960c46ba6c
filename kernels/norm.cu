// RMS norm and layer norm of rows, with the addition to the residual stream before them.
//
// A row is read once and stays in the registers of its block, since the statistics need all of it
// before the first value can be written. Each thread holds whole 16-byte packs, so that every
// load is as wide as possible; weights are loaded along with the row, which hides their latency
// behind the reduction. The layer norm's variance is that of deviations in registers, never a
// difference of means.

#include "check.cuh"
#include "elements.cuh"
#include "group.cuh"

namespace fp {
namespace {

struct NormKernelArgs {
  fp_norm_args args;
  bool is_aligned;  // rows start at multiples of 16 bytes
};

/// Grid: rows.
template <class Format, int THREADS, int PACKS, bool IS_LAYER_NORM>
__global__ void __launch_bounds__(THREADS, kMinBlocks)
    norm(const __grid_constant__ NormKernelArgs kernel) {
  constexpr unsigned kValues = Format::kValues;
  const fp_norm_args &args = kernel.args;
  const Group<THREADS> group(true);
  SharedArena arena;
  const Shared<float> scratch = arena.take<float>(Group<THREADS>::kWarps);
  const unsigned width = args.width;
  const size_t offset = size_t(blockIdx.x) * width;
  const PackedRow<Format> x(args.x, offset, width, kernel.is_aligned);
  const PackedRow<Format> weight(args.weight, 0, width, kernel.is_aligned);

  uint4 packs[PACKS], weights[PACKS], biases[IS_LAYER_NORM ? PACKS : 1];
  float values[PACKS][kValues];
  x.load(group.rank, THREADS, packs);
  const auto load_weights = [&] {
    weight.load(group.rank, THREADS, weights);
    if constexpr (IS_LAYER_NORM)
      PackedRow<Format>(args.bias, 0, width, kernel.is_aligned).load(group.rank, THREADS, biases);
  };
  // The widest rows leave no registers for them.
  constexpr bool kIsEarly = PACKS <= 4;
  if constexpr (kIsEarly) load_weights();
  if (args.add) {
    uint4 addends[PACKS];
    PackedRow<Format>(args.add, offset, width, kernel.is_aligned)
        .load(group.rank, THREADS, addends);
#pragma unroll
    for (int i = 0; i < PACKS; ++i) {
      float addend[kValues];
      Format::unpack(packs[i], values[i]);
      Format::unpack(addends[i], addend);
#pragma unroll
      for (unsigned j = 0; j < kValues; ++j)  // as stored in x
        values[i][j] = rounded<Format>(values[i][j] + addend[j]);
      x.store(group.rank + i * THREADS, values[i]);
    }
  } else {
#pragma unroll
    for (int i = 0; i < PACKS; ++i) Format::unpack(packs[i], values[i]);
  }

  if constexpr (IS_LAYER_NORM) {
    float sum[1] = {0.0f};
#pragma unroll
    for (int i = 0; i < PACKS; ++i)
#pragma unroll
      for (unsigned j = 0; j < kValues; ++j) sum[0] += values[i][j];
    reduce<Sum>(group, scratch, sum);
    const float mean = sum[0] / float(width);
#pragma unroll
    for (int i = 0; i < PACKS; ++i)
#pragma unroll
      for (unsigned j = 0; j < kValues; ++j) {
        const unsigned at = (group.rank + i * THREADS) * kValues + j;
        values[i][j] = at < width ? values[i][j] - mean : 0.0f;
      }
  }
  float squares[1] = {0.0f};
#pragma unroll
  for (int i = 0; i < PACKS; ++i)
#pragma unroll
    for (unsigned j = 0; j < kValues; ++j)
      squares[0] = fmaf(values[i][j], values[i][j], squares[0]);
  reduce<Sum>(group, scratch, squares);
  const float scale = 1.0f / sqrtf(squares[0] / float(width) + args.epsilon);

  if constexpr (!kIsEarly) load_weights();
  const PackedRow<Format> out(args.out, offset, width, kernel.is_aligned);
#pragma unroll
  for (int i = 0; i < PACKS; ++i) {
    float factor[kValues];
    Format::unpack(weights[i], factor);
    if constexpr (IS_LAYER_NORM) {
      float bias[kValues];
      Format::unpack(biases[i], bias);
#pragma unroll
      for (unsigned j = 0; j < kValues; ++j)
        values[i][j] = fmaf(values[i][j] * scale, factor[j], bias[j]);
    } else {
#pragma unroll
      for (unsigned j = 0; j < kValues; ++j) values[i][j] = values[i][j] * scale * factor[j];
    }
    out.store(group.rank + i * THREADS, values[i]);
  }
}

template <class Format, int THREADS, int PACKS>
int launch_shape_of(const NormKernelArgs &kernel, void *stream) {
  const LaunchShape shape = {dim3(kernel.args.num_rows), unsigned(THREADS),
                             Group<THREADS>::kWarps * sizeof(float), 1};
  return kernel.args.bias ? launch(norm<Format, THREADS, PACKS, true>, shape, stream, kernel)
                          : launch(norm<Format, THREADS, PACKS, false>, shape, stream, kernel);
}

/// Threads and packs depend only on the width, so a row's result doesn't depend on other rows.
template <class Format> int launch_norm(const NormKernelArgs &kernel, void *stream) {
  const unsigned packs = (kernel.args.width + Format::kValues - 1) / Format::kValues;
  if (packs <= 128) return launch_shape_of<Format, 128, 1>(kernel, stream);
  if (packs <= 512) return launch_shape_of<Format, 256, 2>(kernel, stream);
  if (packs <= 1024) return launch_shape_of<Format, 512, 2>(kernel, stream);
  if constexpr (Format::kValues * 2048 < FP_MAX_WIDTH)
    if (packs > 2048) return launch_shape_of<Format, 512, 8>(kernel, stream);
  return launch_shape_of<Format, 512, 4>(kernel, stream);
}

}  // namespace
}  // namespace fp

int fp_norm(const fp_norm_args *args, void *stream) {
  using namespace fp;
  if (!args || !args->x || !args->weight || !args->out) return FP_NULL_POINTER;
  if (args->num_rows == 0 || args->width == 0) return FP_BAD_SHAPE;
  if (args->width > FP_MAX_WIDTH || args->num_rows > kMaxGridX) return FP_TOO_LARGE;
  if (!is_dtype(args->dtype)) return FP_BAD_DTYPE;
  if (!(args->epsilon >= 0.0f && args->epsilon < INFINITY)) return FP_BAD_OPTION;
  return for_format(args->dtype, [&](auto format) {
    using Format = decltype(format);
    const bool is_aligned = is_aligned_row(args->width, args->dtype, args->x, args->add,
                                           args->weight, args->bias, args->out);
    return launch_norm<Format>(NormKernelArgs{*args, is_aligned}, stream);
  });
}
