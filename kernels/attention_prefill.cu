// Attention of any number of query rows per sequence; see attention_fma.cuh for f32 and
// attention_mma.cuh for the 16-bit formats.

#include "attention_fma.cuh"
#include "attention_mma.cuh"

namespace fp {
namespace {

template <class E, int COLUMNS, bool NARROW = false>
int launch_fma(const fp_attention_args &args, void *stream) {
  using Tile = FmaTile<COLUMNS>;
  const unsigned tiles = (args.max_rows + Tile::kRows - 1) / Tile::kRows;
  const LaunchShape shape = {dim3(tiles, args.num_heads, args.num_sequences), Tile::kThreads,
                             Tile::kSharedBytes, 1};
  return launch(prefill_fma<E, COLUMNS, NARROW>, shape, stream, args);
}

template <class E, int CHUNKS, bool NARROW = false>
int launch_mma(const fp_attention_args &args, void *stream) {
  using Tile = MmaTile<CHUNKS>;
  const unsigned tiles = (args.max_rows + Tile::kRows - 1) / Tile::kRows;
  const LaunchShape shape = {dim3(tiles, args.num_heads, args.num_sequences), Tile::kThreads,
                             Tile::kSharedBytes, 1};
  return launch(prefill_mma<E, CHUNKS, NARROW>, shape, stream, args);
}

/// Dispatches on the padded row size; CLIP's size 80 has its own kernel.
template <class E> int launch_prefill(const fp_attention_args &args, void *stream) {
  if constexpr (E::kValues == 4) {
    if (is_narrow<E>(args.head_dim)) return launch_fma<E, 1, true>(args, stream);
    if (args.head_dim <= 64) return launch_fma<E, 1>(args, stream);
    if (args.head_dim <= 128) return launch_fma<E, 2>(args, stream);
    return launch_fma<E, 4>(args, stream);
  } else {
    if (is_narrow<E>(args.head_dim)) return launch_mma<E, 4, true>(args, stream);
    if (args.head_dim <= 64) return launch_mma<E, 4>(args, stream);
    if (args.head_dim <= 80) return launch_mma<E, 5>(args, stream);
    if (args.head_dim <= 128) return launch_mma<E, 8>(args, stream);
    return launch_mma<E, 16>(args, stream);
  }
}

}  // namespace
}  // namespace fp

int fp_attention_prefill(const fp_attention_args *args, void *stream) {
  using namespace fp;
  if (!args) return FP_NULL_POINTER;
  FP_CHECK(check_attention(*args));
  return for_format(args->dtype, [&](auto format) {
    return launch_prefill<decltype(format)>(*args, stream);
  });
}
