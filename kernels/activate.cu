// Activations between the matrix products of an MLP, with the bias that the matrix product omits.
//
// Values are independent of each other and the work is bound by memory: 16-byte accesses, two of
// each operand in flight per thread, and accurate exponentials, which cost nothing extra.

#include "check.cuh"
#include "elements.cuh"
#include "group.cuh"

namespace fp {
namespace {

constexpr unsigned kMaxThreads = 256;
constexpr int kPacks = 2;

__device__ __forceinline__ float sigmoid_gate(float x, float slope) {
  return x / (1.0f + expf(-slope * x));
}

template <unsigned ACTIVATION> __device__ __forceinline__ float activated(float x) {
  if constexpr (ACTIVATION == FP_QUICK_GELU) return sigmoid_gate(x, 1.702f);
  // By the complementary error function: 1 + erf loses the tail of negative values.
  if constexpr (ACTIVATION == FP_GELU) return 0.5f * x * erfcf(x * -0.707106781186547524f);
  if constexpr (ACTIVATION == FP_GELU_TANH) {
    const float inner = 0.797884560802865356f * fmaf(0.044715f * x * x, x, x);
    // x/2 · (1 + tanh u) = x / (1 + e^(−2u)), which preserves the tail too.
    return x / (1.0f + expf(-2.0f * inner));
  }
  return x;
}

struct RowsKernelArgs {
  const void *x, *bias;
  void *out;
  unsigned width;
  bool is_aligned;  // rows start at multiples of 16 bytes
};

/// Adds `bias` to `values` if it is given.
template <class Format>
__device__ __forceinline__ void add_bias(const void *bias, const uint4 &pack,
                                         float (&values)[Format::kValues]) {
  if (!bias) return;
  float addend[Format::kValues];
  Format::unpack(pack, addend);
#pragma unroll
  for (unsigned j = 0; j < Format::kValues; ++j) values[j] += addend[j];
}

/// Grid: rows, chunks of 16-byte packs of a row.
template <class Format, unsigned ACTIVATION>
__global__ void __launch_bounds__(kMaxThreads, kMinBlocks)
    activate(const __grid_constant__ RowsKernelArgs args) {
  const size_t offset = size_t(blockIdx.x) * args.width;
  const unsigned step = blockDim.x, first = blockIdx.y * step * kPacks + threadIdx.x;
  uint4 packs[kPacks], biases[kPacks];
  PackedRow<Format>(args.x, offset, args.width, args.is_aligned).load(first, step, packs);
  if (args.bias)
    PackedRow<Format>(args.bias, 0, args.width, args.is_aligned).load(first, step, biases);
  const PackedRow<Format> out(args.out, offset, args.width, args.is_aligned);
#pragma unroll
  for (int i = 0; i < kPacks; ++i) {
    float values[Format::kValues];
    Format::unpack(packs[i], values);
    add_bias<Format>(args.bias, biases[i], values);
#pragma unroll
    for (unsigned j = 0; j < Format::kValues; ++j) values[j] = activated<ACTIVATION>(values[j]);
    out.store(first + i * step, values);
  }
}

/// Grid: rows, chunks of 16-byte packs of a result's row.
template <class Format>
__global__ void __launch_bounds__(kMaxThreads, kMinBlocks)
    gated_silu(const __grid_constant__ RowsKernelArgs args) {
  const size_t offset = size_t(blockIdx.x) * args.width;
  const unsigned step = blockDim.x, first = blockIdx.y * step * kPacks + threadIdx.x;
  uint4 gates[kPacks], ups[kPacks], gate_biases[kPacks], up_biases[kPacks];
  PackedRow<Format>(args.x, 2 * offset, args.width, args.is_aligned).load(first, step, gates);
  PackedRow<Format>(args.x, 2 * offset + args.width, args.width, args.is_aligned)
      .load(first, step, ups);
  if (args.bias) {
    PackedRow<Format>(args.bias, 0, args.width, args.is_aligned).load(first, step, gate_biases);
    PackedRow<Format>(args.bias, args.width, args.width, args.is_aligned)
        .load(first, step, up_biases);
  }
  const PackedRow<Format> out(args.out, offset, args.width, args.is_aligned);
#pragma unroll
  for (int i = 0; i < kPacks; ++i) {
    float gate[Format::kValues], up[Format::kValues];
    Format::unpack(gates[i], gate);
    Format::unpack(ups[i], up);
    add_bias<Format>(args.bias, gate_biases[i], gate);
    add_bias<Format>(args.bias, up_biases[i], up);
#pragma unroll
    for (unsigned j = 0; j < Format::kValues; ++j) gate[j] = sigmoid_gate(gate[j], 1.0f) * up[j];
    out.store(first + i * step, gate);
  }
}

/// As many threads as a row has packs, rounded to whole warps.
template <class Format> LaunchShape shape_of(unsigned num_rows, unsigned width) {
  const unsigned packs = (width + Format::kValues - 1) / Format::kValues;
  const unsigned wanted = (packs + kWarpSize - 1) / kWarpSize * kWarpSize;
  const unsigned threads = wanted < kMaxThreads ? wanted : kMaxThreads;
  return {dim3(num_rows, (packs + threads * kPacks - 1) / (threads * kPacks)), threads, 0, 1};
}

int check_rows(unsigned num_rows, unsigned width, unsigned dtype) {
  if (num_rows == 0 || width == 0) return FP_BAD_SHAPE;
  if (num_rows > kMaxGridX || width > FP_MAX_INNER_WIDTH) return FP_TOO_LARGE;
  return is_dtype(dtype) ? FP_OK : FP_BAD_DTYPE;
}

template <class Format>
int launch_activate(const RowsKernelArgs &kernel, const LaunchShape &shape, unsigned activation,
                    void *stream) {
  switch (activation) {
    case FP_QUICK_GELU: return launch(activate<Format, FP_QUICK_GELU>, shape, stream, kernel);
    case FP_GELU: return launch(activate<Format, FP_GELU>, shape, stream, kernel);
    case FP_GELU_TANH: return launch(activate<Format, FP_GELU_TANH>, shape, stream, kernel);
    default: return launch(activate<Format, FP_NO_ACTIVATION>, shape, stream, kernel);
  }
}

}  // namespace
}  // namespace fp

int fp_gated_silu(const fp_gated_silu_args *args, void *stream) {
  using namespace fp;
  if (!args || !args->gates_and_ups || !args->out) return FP_NULL_POINTER;
  FP_CHECK(check_rows(args->num_rows, args->width, args->dtype));
  const bool is_aligned =
      is_aligned_row(args->width, args->dtype, args->gates_and_ups, args->bias, args->out);
  const RowsKernelArgs kernel = {args->gates_and_ups, args->bias, args->out, args->width,
                                 is_aligned};
  return for_format(args->dtype, [&](auto format) {
    using Format = decltype(format);
    return launch(gated_silu<Format>, shape_of<Format>(args->num_rows, args->width), stream,
                  kernel);
  });
}

int fp_activate(const fp_activate_args *args, void *stream) {
  using namespace fp;
  if (!args || !args->x || !args->out) return FP_NULL_POINTER;
  FP_CHECK(check_rows(args->num_rows, args->width, args->dtype));
  if (args->activation > FP_GELU_TANH) return FP_BAD_OPTION;
  const bool is_aligned = is_aligned_row(args->width, args->dtype, args->x, args->bias, args->out);
  const RowsKernelArgs kernel = {args->x, args->bias, args->out, args->width, is_aligned};
  return for_format(args->dtype, [&](auto format) {
    using Format = decltype(format);
    return launch_activate<Format>(kernel, shape_of<Format>(args->num_rows, args->width),
                                   args->activation, stream);
  });
}
