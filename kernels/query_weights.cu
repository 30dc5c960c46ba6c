// Combines query rows to one row per head, with weights that depend on attention.

#include "check.cuh"
#include "group.cuh"

namespace fp {
namespace {

constexpr int kThreads = 256;
/// Values that each thread has in flight.
constexpr int kLoads = 4;
constexpr unsigned kReductionBytes = Group<kThreads>::kWarps * kReduceValues * sizeof(double);

/// Grid: query rows, samples. Total attention of a row to the image over all heads.
__global__ void __launch_bounds__(kThreads, kMinBlocks)
    row_totals(const __grid_constant__ fp_query_weights_args args) {
  const Group<kThreads> group(true);
  SharedArena arena;
  const Shared<double> scratch =
      arena.take<double>(Group<kThreads>::kWarps * kReduceValues);
  const unsigned row = blockIdx.x, sample = blockIdx.y;
  const Values rows(args.rows, args.dtype);
  double total[1] = {0.0};
  const unsigned n = args.num_image_tokens;
  for (unsigned head = 0; head < args.num_heads; ++head) {
    const unsigned row_index = (sample * args.num_heads + head) * args.num_rows + row;
    for (unsigned first = group.rank; first < n; first += kThreads * kLoads) {
      float values[kLoads];
      rows.load(size_t(row_index) * n + first, kThreads, steps_below(first, n, kThreads), values);
      int bad = -1;
#pragma unroll
      for (int i = kLoads - 1; i >= 0; --i)
        if (!is_attention(values[i])) bad = i;
      if (bad >= 0)
        report(global<unsigned long long>(args.error), FP_DATA_INVALID_ATTENTION, row_index,
               first + bad * kThreads);
#pragma unroll
      for (int i = 0; i < kLoads; ++i) total[0] += values[i];
    }
  }
  reduce<Sum>(group, scratch, total);
  if (group.rank == 0) global<double>(args.totals)[size_t(sample) * args.num_rows + row] = total[0];
}

/// Grid: samples. Omitted rows come first in the sequence and have total 0.
__global__ void __launch_bounds__(kThreads, kMinBlocks)
    weigh_rows(const __grid_constant__ fp_query_weights_args args) {
  const Group<kThreads> group(true);
  SharedArena arena;
  const Shared<double> scratch =
      arena.take<double>(Group<kThreads>::kWarps * kReduceValues);
  const size_t first = size_t(blockIdx.x) * args.num_rows;
  const Global<const double> totals = global<const double>(args.totals) + first;
  const Global<double> weights = global<double>(args.weights) + first;
  double largest[1] = {args.num_unseen_rows > 0 ? 0.0 : -double(INFINITY)};
  for (unsigned row = group.rank; row < args.num_rows; row += kThreads)
    largest[0] = Max::combine(largest[0], totals[row]);
  reduce<Max>(group, scratch, largest);
  if (args.weighting == FP_LARGEST_TOTAL) {
    // The lowest row with that total: the largest −row.
    double lowest[1] = {args.num_unseen_rows > 0 && largest[0] == 0.0 ? 1.0 : -double(INFINITY)};
    for (unsigned row = group.rank; row < args.num_rows; row += kThreads)
      if (totals[row] == largest[0]) lowest[0] = Max::combine(lowest[0], -double(row));
    reduce<Max>(group, scratch, lowest);
    for (unsigned row = group.rank; row < args.num_rows; row += kThreads)
      weights[row] = -double(row) == lowest[0] ? 1.0 : 0.0;
    return;
  }
  double sum[1] = {0.0};
  for (unsigned row = group.rank; row < args.num_rows; row += kThreads)
    sum[0] += exp(totals[row] - largest[0]);
  reduce<Sum>(group, scratch, sum);
  sum[0] += args.num_unseen_rows * exp(0.0 - largest[0]);
  for (unsigned row = group.rank; row < args.num_rows; row += kThreads)
    weights[row] = exp(totals[row] - largest[0]) / sum[0];
}

/// Grid: chunks of image columns, heads, samples; a thread per column.
__global__ void __launch_bounds__(kThreads, kMinBlocks)
    combine_rows(const __grid_constant__ fp_combine_rows_args args) {
  const unsigned head = blockIdx.y, sample = blockIdx.z;
  const unsigned column = blockIdx.x * kThreads + threadIdx.x;
  if (column >= args.num_image_tokens) return;
  const Values rows(args.rows, args.dtype);
  const Global<const double> weights =
      global<const double>(args.weights) + sample * args.weights_batch_stride;
  const unsigned head_index = sample * args.num_heads + head;
  double weighted = 0.0;
  for (unsigned first = 0; first < args.num_rows; first += kLoads) {
    const unsigned row_index = head_index * args.num_rows + first;
    const unsigned count = args.num_rows - first;
    float values[kLoads];
    rows.load(size_t(row_index) * args.num_image_tokens + column, args.num_image_tokens, count,
              values);
    int bad = -1;
#pragma unroll
    for (int i = kLoads - 1; i >= 0; --i)
      if (!is_attention(values[i])) bad = i;
    if (bad >= 0)
      report(global<unsigned long long>(args.error), FP_DATA_INVALID_ATTENTION, row_index + bad,
             column);
#pragma unroll
    for (int i = 0; i < kLoads; ++i)
      if (unsigned(i) < count) weighted += weights[first + i] * values[i];
  }
  global<float>(args.attention)[size_t(head_index) * args.num_image_tokens + column] =
      float(weighted);
}

int check_rows(uint32_t batch_size, uint32_t num_heads, uint32_t num_rows,
               uint32_t num_image_tokens) {
  FP_CHECK(check_sizes(batch_size, num_heads, num_image_tokens));
  if (num_rows == 0) return FP_BAD_SHAPE;
  return size_t(batch_size) * num_heads * num_rows <= UINT32_MAX ? FP_OK : FP_TOO_LARGE;
}

}  // namespace
}  // namespace fp

int fp_query_weights(const fp_query_weights_args *args, void *stream) {
  using namespace fp;
  if (!args || !args->rows || !args->totals || !args->weights || !args->error)
    return FP_NULL_POINTER;
  FP_CHECK(check_rows(args->batch_size, args->num_heads, args->num_rows, args->num_image_tokens));
  if (!is_dtype(args->dtype)) return FP_BAD_DTYPE;
  if (args->weighting > FP_LARGEST_TOTAL) return FP_BAD_OPTION;
  const LaunchShape totals = {dim3(args->num_rows, args->batch_size), kThreads, kReductionBytes, 1};
  FP_CHECK(launch(row_totals, totals, stream, *args));
  const LaunchShape weights = {dim3(args->batch_size), kThreads, kReductionBytes, 1};
  return launch(weigh_rows, weights, stream, *args);
}

int fp_combine_rows(const fp_combine_rows_args *args, void *stream) {
  using namespace fp;
  if (!args || !args->rows || !args->weights || !args->attention || !args->error)
    return FP_NULL_POINTER;
  FP_CHECK(check_rows(args->batch_size, args->num_heads, args->num_rows, args->num_image_tokens));
  if (!is_dtype(args->dtype)) return FP_BAD_DTYPE;
  const unsigned chunks = (args->num_image_tokens + kThreads - 1) / kThreads;
  const LaunchShape shape = {dim3(chunks, args->num_heads, args->batch_size), kThreads, 0, 1};
  return launch(combine_rows, shape, stream, *args);
}
