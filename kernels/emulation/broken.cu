// Kernels with one mistake each, which the emulation must detect.

#include "device.cuh"

namespace fp {
namespace {

enum Mistake : unsigned {
  kNone,
  kWriteBeyondBuffer,
  kReadBeforeBuffer,
  kWriteToReadOnly,
  kMisaligned,
  kBeyondSharedArray,
  kTooMuchShared,
  kReadUninitialisedShared,
  kBarrierInBranch,
  kBarriersOfTwoPlaces,
  kEarlyExit,
  kShuffleInBranch,
  kReadOfExitedBlock,
  kRace,
};

struct BrokenArgs {
  const float *input;
  float *output;
  unsigned length, mistake;
};

/// Reverses each block's 64 values through shared memory.
__global__ void broken(const __grid_constant__ BrokenArgs args) {
  SharedArena arena;
  const Shared<float> tile = arena.take<float>(64);
  if (args.mistake == kTooMuchShared) arena.take<float>(1 << 16);
  const unsigned thread = threadIdx.x, first = blockIdx.x * 64;
  const Global<const float> input = global<const float>(args.input);
  const Global<float> output = global<float>(args.output);
  const bool skips = thread == 7;

  if (args.mistake == kReadBeforeBuffer) output[0] = float((input + size_t(-1))[0]);
  if (args.mistake == kWriteBeyondBuffer && skips) output[args.length] = 1.0f;
  if (args.mistake == kWriteToReadOnly) global<float>(args.input)[0] = 1.0f;
  if (args.mistake == kMisaligned) {
    const float4 four = global<const float4>(args.input + 1)[0];
    output[0] = four.x;
  }
  if (args.mistake == kEarlyExit && skips) return;
  if (args.mistake == kBeyondSharedArray && skips) tile[64] = 1.0f;
  if (!(args.mistake == kReadUninitialisedShared && skips))
    tile[thread] = float(input[first + thread]);

  if (args.mistake == kBarrierInBranch) {
    if (!skips) block_sync();
  } else if (args.mistake == kBarriersOfTwoPlaces) {
    if (skips)
      block_sync();
    else
      block_sync();
  } else if (args.mistake != kRace) {
    block_sync();
  }
  if (args.mistake == kShuffleInBranch && !skips) shuffle_xor(thread, 1);
  // The thread that skipped the barrier would read values that are not written yet.
  const bool is_ahead = args.mistake == kBarrierInBranch && skips;
  output[first + thread] = is_ahead ? 0.0f : float(tile[63 - thread]);
}

/// The same with a read of the cluster's other block after that block began to exit.
__global__ void broken_cluster(const __grid_constant__ BrokenArgs args) {
  SharedArena arena;
  const Shared<float> tile = arena.take<float>(64);
  tile[threadIdx.x] = float(global<const float>(args.input)[blockIdx.x * 64 + threadIdx.x]);
  cluster_sync();
  if (args.mistake == kReadOfExitedBlock && cluster_rank() == 1) return;
  block_sync();
  global<float>(args.output)[blockIdx.x * 64 + threadIdx.x] =
      on_rank(tile, 1 - cluster_rank())[63 - threadIdx.x];
  if (args.mistake == kNone) cluster_sync();
}

}  // namespace
}  // namespace fp

extern "C" int fp_emulation_broken(const float *input, float *output, unsigned length,
                                   unsigned mistake, unsigned cluster) {
  using namespace fp;
  const LaunchShape shape = {dim3(length / 64), 64, 256, cluster};
  const BrokenArgs args = {input, output, length, mistake};
  return launch(cluster > 1 ? broken_cluster : broken, shape, nullptr, args);
}
