// Selection from the scores of one strategy: its heads, the mean of their rows, the kept tokens.
#pragma once

#include "top.cuh"

namespace fp {

/// Outputs of a selection for one sample and strategy; all but `kept_tokens` may be null.
struct SelectionOutputs {
  Global<unsigned> selected_heads = Global<unsigned>();
  Global<double> token_importance = Global<double>();
  Global<unsigned> kept_tokens = Global<unsigned>();
  Global<fp_selection_audit> audit = Global<fp_selection_audit>();
};

/// Sizes of the input, and how much of it is selected.
struct SelectionSizes {
  unsigned num_heads, num_image_tokens, num_selected_heads, num_kept_tokens;
};

/// Outputs of index `slot`, which counts samples and strategies.
__device__ inline SelectionOutputs outputs_of(const fp_selection &selection, size_t slot,
                                              unsigned num_image_tokens) {
  SelectionOutputs out;
  if (selection.selected_heads)
    out.selected_heads =
        global<unsigned>(selection.selected_heads) + slot * selection.num_selected_heads;
  if (selection.token_importance)
    out.token_importance = global<double>(selection.token_importance) + slot * num_image_tokens;
  out.kept_tokens = global<unsigned>(selection.kept_tokens) + slot * selection.num_kept_tokens;
  if (selection.audits) out.audit = global<fp_selection_audit>(selection.audits) + slot;
  return out;
}

/// Shared memory of a group while it selects.
template <int THREADS, int ELEMENTS> struct SelectionScratch {
  TopScratch<THREADS, ELEMENTS> top;
  Shared<unsigned> heads;  // the selected ones, ascending

  static constexpr unsigned kBytes =
      TopScratch<THREADS, ELEMENTS>::kBytes + FP_MAX_HEADS * sizeof(unsigned);

  __device__ SelectionScratch(SharedArena &arena, unsigned group, unsigned num_groups)
      : top(arena, group, num_groups),
        heads(arena.take<unsigned>(num_groups * FP_MAX_HEADS) + group * FP_MAX_HEADS) {}

  /// The same memory for the selection of heads, with one head per thread.
  __device__ TopScratch<THREADS, 1> for_heads() const {
    return TopScratch<THREADS, 1>(top.bins, top.found, top.counts, top.reduction);
  }
};

/// Selects heads by `scores(head)`, reads rows by `row(head, token)` and keeps tokens.
/// The mean is summed in ascending head index.
template <int THREADS, int ELEMENTS, class Scores, class Rows>
__device__ void select(const Group<THREADS> &group,
                       const SelectionScratch<THREADS, ELEMENTS> &scratch,
                       const SelectionSizes &sizes, const Scores &scores, const Rows &row,
                       const SelectionOutputs &out) {
  static_assert(THREADS >= FP_MAX_HEADS, "one thread per head");
  const TopScratch<THREADS, 1> head_scratch = scratch.for_heads();
  const bool is_head = group.rank < sizes.num_heads;
  double head_score = is_head ? scores(group.rank) : 0.0;
  const bool is_nan = isnan(head_score);
  if (is_nan) head_score = -double(INFINITY);
  const unsigned long long head_keys[1] = {ordered_key(head_score)};
  const unsigned is_selected =
      mark_top(group, head_scratch, head_keys, sizes.num_heads, sizes.num_selected_heads);
  visit_in_order<1>(group, head_scratch.counts, is_selected, [&](int, unsigned place) {
    scratch.heads[place] = group.rank;
    if (out.selected_heads) out.selected_heads[place] = group.rank;
  });

  unsigned long long keys[ELEMENTS];
#pragma unroll
  for (int e = 0; e < ELEMENTS; ++e) {
    const unsigned token = e * THREADS + group.rank;
    double importance = 0.0;
    if (token < sizes.num_image_tokens) {
      for (unsigned i = 0; i < sizes.num_selected_heads; ++i)
        importance += row(scratch.heads[i], token);
      importance /= sizes.num_selected_heads;
      if (out.token_importance) out.token_importance[token] = importance;
    }
    keys[e] = ordered_key(importance);
  }
  const unsigned kept =
      mark_top(group, scratch.top, keys, sizes.num_image_tokens, sizes.num_kept_tokens);
  visit_in_order<ELEMENTS>(group, scratch.top.counts, kept, [&](int e, unsigned position) {
    out.kept_tokens[position] = e * THREADS + group.rank;
  });

  if (!out.audit) return;
  fp_selection_audit audit;
  audit.heads = describe_cut(group, head_scratch, head_keys, sizes.num_heads, is_selected);
  audit.tokens = describe_cut(group, scratch.top, keys, sizes.num_image_tokens, kept);
  double head_ends[2] = {-double(INFINITY), -double(INFINITY)};  // max, −min
  double num_nan[1] = {is_nan ? 1.0 : 0.0};
  if (is_head) {
    head_ends[0] = head_score;
    head_ends[1] = -head_score;
  }
  reduce<Max>(group, scratch.top.reduction, head_ends);
  reduce<Sum>(group, scratch.top.reduction, num_nan);
  audit.is_head_score_constant = head_ends[0] == -head_ends[1];
  audit.num_nan_heads = unsigned(num_nan[0]);
  if (group.rank == 0) out.audit[0] = audit;
}

}  // namespace fp
