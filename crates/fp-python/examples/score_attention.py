"""Which heads and tokens two strategies choose on attention of one's own."""

import numpy as np

import finepruner

# Eight heads over a sequence of 5 + 64 + 6 tokens, as a causal softmax gives it.
rng = np.random.default_rng(0)
logits = rng.normal(size=(8, 75, 75)) + np.where(np.tri(75, dtype=bool), 0.0, -np.inf)
weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
attention = weights / weights.sum(axis=-1, keepdims=True)

selections = finepruner.score(
    attention, image_range=(5, 69), keep=16, heads=["sum", "variance"]
)
for chosen in selections:
    cut = chosen.audit["token_cut"]
    print(chosen.head_strategy, chosen.kept_tokens, f"gap {cut['gap']:.1e}")

agreement = finepruner.equivalence(selections)
print("same tokens:", agreement.mean_jaccard)
