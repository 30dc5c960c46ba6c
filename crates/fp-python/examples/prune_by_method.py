"""What a published method chooses of features of one's own."""

import numpy as np

import finepruner

for card in finepruner.methods():
    print(f"{card['name']}: {card['summary']}")

# The projector's output: N image tokens of D values.
projected = np.random.default_rng(0).normal(size=(576, 64))
choice = finepruner.select("divprune", {"projected": projected}, ratio=0.1)
print(choice, choice.kept_tokens[:8])
