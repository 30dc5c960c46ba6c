"""Attention out of Hugging Face models, selections into them.

PyTorch and transformers are imported when something here is used. Capturing what a scorer
needs, whatever the attention implementation of the model is::

    from finepruner import hf
    with hf.capture(model, layer=2, queries="last_token") as captured:
        model.generate(**inputs)
    chosen = captured[-1].score(keep=166, heads="variance")
    captured[-1].save("layer2.safetensors")   # for `finepruner score`, nothing else to say

Pruning while the model answers, by a strategy of this package or by a function of one's own,
and what was kept as a file for ``finepruner study --selection``::

    with hf.prune(model, "variance", keep=166) as pruned, hf.record_selections("mine.jsonl") as to:
        for question in questions:
            model.generate(**question.inputs)
            to.add(question.id, pruned)
"""

from ._capture import Capture, capture
from ._captured import Captured
from ._prune import Pruning, prune
from ._record import SelectionRecord, record_selections

__all__ = [
    "Capture",
    "Captured",
    "Pruning",
    "SelectionRecord",
    "capture",
    "prune",
    "record_selections",
]
