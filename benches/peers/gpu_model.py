"""A 7B decoder in Hugging Face transformers: prefill, decoding, and a grid the usual way.

    python gpu_model.py RECORD.json [--device cuda] [--dtype bf16] [--shape 7b] [--rounds 5]

Times what `gpu_timings` (crates/fp-model/examples) times, under the same names, with the
scaled-dot-product attention of PyTorch: prefill and decoding of 1 and 16 sequences of 640
and 2900 tokens; decoding of 30 sequences of three lengths, padded to one batch. `grid` is
study A on one image as code for a single method does it: each of 81 cells by itself,
with all layers' attention written out (`output_attentions`), scored from layer K = 2,
pruned, decoded for 8 tokens. One cell per budget and strategy is timed, and stands for the
three head counts. Weights are random; no answer means anything. `--shape tiny --device cpu`
tries the program.
"""

import argparse
import json
import statistics
import time

import torch
import transformers
from score_strategies import STRATEGIES
from gpu_select import scores_on_gpu
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM

SYSTEM, TEXT, IMAGE = 35, 27, 576
LENGTHS, BATCHES, NEW_TOKENS, GRID_TOKENS = [640, 2900], [1, 16], 32, 8
PRUNE_LAYER, KEPT, BRANCHES_OF_BUDGET, HEAD_COUNTS = 2, [166, 98, 30], 10, 3
SHAPES = {
    "7b": dict(hidden_size=4096, intermediate_size=11008, num_hidden_layers=32, num_attention_heads=32),
    "tiny": dict(hidden_size=32, intermediate_size=64, num_hidden_layers=4, num_attention_heads=4),
}
DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}


class Bench:
    def __init__(self, args):
        self.device, self.dtype, self.rounds = args.device, DTYPES[args.dtype], args.rounds
        config = LlamaConfig(
            vocab_size=32064, max_position_embeddings=4096, rms_norm_eps=1e-5, **SHAPES[args.shape]
        )
        config._attn_implementation = "sdpa"
        torch.set_default_dtype(self.dtype)
        with torch.device(self.device):
            self.model = LlamaForCausalLM(config).eval()
        torch.set_default_dtype(torch.float32)

    def now(self):
        if self.device.startswith("cuda"):
            torch.cuda.synchronize()
        return time.perf_counter()

    def medians(self, run):
        """The medians of the figures that `run()` gives, one round not counted."""
        runs = [run() for _ in range(self.rounds + 1)][1:]
        return [statistics.median(figure) for figure in zip(*runs)]

    def rows(self, batch, length):
        shape = (batch, length, self.model.config.hidden_size)
        return torch.rand(shape, device=self.device, dtype=self.dtype) * 0.1 - 0.05

    def decode(self, cache, token, mask, new_tokens):
        """Milliseconds per token after the first one, greedily."""
        start = self.now()
        for _ in range(new_tokens - 1):
            if mask is not None:
                mask = torch.cat([mask, mask.new_ones(len(mask), 1)], 1)
            out = self.model(
                input_ids=token, past_key_values=cache, attention_mask=mask, use_cache=True
            )
            token = out.logits[:, -1:].argmax(-1)
        return 1e3 * (self.now() - start) / (new_tokens - 1)

    def prefill(self, rows, mask=None):
        out = self.model(
            inputs_embeds=rows, attention_mask=mask, use_cache=True, logits_to_keep=1
        )
        return out.past_key_values, out.logits[:, -1:].argmax(-1)

    def sequences(self, length, batch):
        rows = self.rows(batch, length)

        def run():
            start = self.now()
            cache, token = self.prefill(rows)
            prefill = 1e3 * (self.now() - start)
            return prefill, self.decode(cache, token, None, NEW_TOKENS)

        prefill, decode = self.medians(run)
        return {"prefill_ms": prefill, "decode_ms_per_token": decode}

    def branches(self):
        """30 pruned sequences in one batch, the short ones padded on the left."""
        lengths = [SYSTEM + kept + TEXT for kept in KEPT for _ in range(BRANCHES_OF_BUDGET)]
        rows = self.rows(len(lengths), max(lengths))
        mask = torch.zeros(len(lengths), max(lengths), dtype=torch.long, device=self.device)
        for index, length in enumerate(lengths):
            mask[index, max(lengths) - length :] = 1

        def run():
            start = self.now()
            cache, token = self.prefill(rows, mask)
            prefill = 1e3 * (self.now() - start)
            return prefill, self.decode(cache, token, mask, NEW_TOKENS)

        prefill, decode = self.medians(run)
        return {"count": len(lengths), "prefill_ms": prefill, "decode_ms_per_token": decode}

    def cell(self, rows, strategy, kept):
        """One cell: all layers eager, with their weights, as pruning after layer K needs them."""
        decoder, heads = self.model.model, self.model.config.num_attention_heads
        cache, hidden = DynamicCache(), rows
        positions = torch.arange(rows.shape[1], device=self.device)[None]
        for index, layer in enumerate(decoder.layers):
            length = hidden.shape[1]
            mask = torch.full((length, length), torch.finfo(self.dtype).min, device=self.device)
            mask = mask.triu(1)[None, None].to(self.dtype)
            turns = decoder.rotary_emb(hidden, position_ids=positions)
            normed = layer.input_layernorm(hidden)
            attended, weights = layer.self_attn(
                hidden_states=normed, attention_mask=mask, position_embeddings=turns,
                past_key_values=cache,
            )
            hidden = hidden + attended
            hidden = hidden + layer.mlp(layer.post_attention_layernorm(hidden))
            if index + 1 == PRUNE_LAYER:
                to_image = weights[:, :, -1, SYSTEM : SYSTEM + IMAGE].float()
                chosen = scores_on_gpu(strategy, to_image).topk(heads // 2, dim=-1).indices
                mean = to_image.gather(1, chosen[..., None].expand(-1, -1, IMAGE)).mean(1)
                tokens = mean.topk(kept, dim=-1).indices.sort(-1).values[0]
                text = torch.arange(SYSTEM + IMAGE, length, device=self.device)
                stay = torch.cat([torch.arange(SYSTEM, device=self.device), SYSTEM + tokens, text])
                hidden, positions = hidden[:, stay], positions[:, stay]
        logits = self.model.lm_head(decoder.norm(hidden[:, -1:]))
        token, position = logits.argmax(-1), rows.shape[1]
        for step in range(GRID_TOKENS - 1):
            hidden = decoder.embed_tokens(token)
            place = torch.tensor([[position + step]], device=self.device)
            turns = decoder.rotary_emb(hidden, position_ids=place)
            for layer in decoder.layers:
                attended, _ = layer.self_attn(
                    hidden_states=layer.input_layernorm(hidden), attention_mask=None,
                    position_embeddings=turns, past_key_values=cache,
                )
                hidden = hidden + attended
                hidden = hidden + layer.mlp(layer.post_attention_layernorm(hidden))
            token = self.model.lm_head(decoder.norm(hidden)).argmax(-1)
        return token.cpu()

    def grid(self):
        rows = self.rows(1, SYSTEM + IMAGE + TEXT)
        self.model.set_attn_implementation("eager")
        total, one = 0.0, {}
        for kept in KEPT:
            for strategy in STRATEGIES:
                self.cell(rows, strategy, kept)
                start = self.now()
                self.cell(rows, strategy, kept)
                taken = 1e3 * (self.now() - start)
                total += HEAD_COUNTS * taken
                one[f"{strategy} {kept}"] = taken
        self.model.set_attn_implementation("sdpa")
        cells = HEAD_COUNTS * len(KEPT) * len(STRATEGIES)
        # The vision tower runs for each cell too there; it is left out here.
        return {"cells": cells, "new_tokens": GRID_TOKENS, "ms": total, "one_cell_ms": one}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("record")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="bf16", choices=DTYPES)
    parser.add_argument("--shape", default="7b", choices=SHAPES)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    record = {
        "pytorch": torch.__version__,
        "transformers": transformers.__version__,
        "device": args.device,
        "dtype": args.dtype,
        "shape": args.shape,
        "failed": {},
    }

    def write():
        with open(args.record, "w") as file:
            json.dump(record, file, indent=2)

    with torch.inference_mode():
        bench = Bench(args)
        what = {f"S={s} B={b}": (lambda s=s, b=b: bench.sequences(s, b)) for s in LENGTHS for b in BATCHES}
        what |= {"branches": bench.branches, "grid": bench.grid}
        for name, run in what.items():
            try:
                record[name] = run()
                print(name, {k: v for k, v in record[name].items() if k != "one_cell_ms"}, flush=True)
            except Exception as error:  # memory that runs out, another version: the rest goes on
                record["failed"][name] = f"{type(error).__name__}: {error}"[:300]
                print(name, record["failed"][name], flush=True)
            # A time limit may end this: what is measured is not lost.
            write()
    write()


if __name__ == "__main__":
    main()
