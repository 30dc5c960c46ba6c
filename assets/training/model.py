"""The tiny LLaVA in PyTorch, for training: the same structure that the engine loads.

One image serves many questions: system and image tokens are computed once, and each
question attends to them and to itself alone. So a step is cheap, and each answer is
what a prompt of its own would give.
"""

import math
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass
class Shape:
    """Sizes of the model; the vision tower has one layer more, whose output nobody reads."""

    vocab: int
    image_side: int = 168
    patch: int = 14
    vision_width: int = 128
    vision_layers: int = 4
    vision_heads: int = 4
    vision_mlp: int = 384
    width: int = 192
    layers: int = 8
    heads: int = 8
    mlp: int = 512
    rope_theta: float = 100000.0
    rms_eps: float = 1e-5

    @property
    def patches(self):
        return (self.image_side // self.patch) ** 2

    def as_dict(self):
        return asdict(self)


class VisionLayer(nn.Module):
    """Pre-norm transformer layer with quick-GELU, as in CLIP."""

    def __init__(self, shape):
        super().__init__()
        width, mlp = shape.vision_width, shape.vision_mlp
        self.heads = shape.vision_heads
        self.layer_norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out_proj = nn.Linear(width, width)
        self.layer_norm2 = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, mlp)
        self.fc2 = nn.Linear(mlp, width)

    def forward(self, x):
        batch, length, width = x.shape
        qkv = self.qkv(self.layer_norm1(x)).view(batch, length, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        attention = torch.softmax((q @ k.transpose(-1, -2)) * (width // self.heads) ** -0.5, -1)
        x = x + self.out_proj((attention.to(v.dtype) @ v).transpose(1, 2).reshape(batch, length, width))
        hidden = self.fc1(self.layer_norm2(x))
        return x + self.fc2(hidden * torch.sigmoid(1.702 * hidden))


class VisionTower(nn.Module):
    """CLIP ViT up to its penultimate layer."""

    def __init__(self, shape):
        super().__init__()
        width = shape.vision_width
        self.shape = shape
        self.patch_embedding = nn.Linear(3 * shape.patch**2, width, bias=False)
        self.class_embedding = nn.Parameter(torch.randn(width) * 0.02)
        self.position_embedding = nn.Parameter(torch.randn(shape.patches + 1, width) * 0.02)
        self.pre_layrnorm = nn.LayerNorm(width)
        self.layers = nn.ModuleList(VisionLayer(shape) for _ in range(shape.vision_layers))

    def forward(self, pixels):
        """`[B, 3, side, side]` to patch features `[B, patches, width]`, CLS dropped."""
        batch, patch = len(pixels), self.shape.patch
        grid = self.shape.image_side // patch
        x = pixels.view(batch, 3, grid, patch, grid, patch).permute(0, 2, 4, 1, 3, 5)
        x = self.patch_embedding(x.reshape(batch, grid * grid, 3 * patch * patch))
        x = torch.cat([self.class_embedding.expand(batch, 1, -1).to(x.dtype), x], 1)
        x = self.pre_layrnorm(x + self.position_embedding)
        for layer in self.layers:
            x = layer(x)
        return x[:, 1:]


class RmsNorm(nn.Module):
    def __init__(self, width, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight


class DecoderLayer(nn.Module):
    """Llama's layer. All heads start alike: keys near queries, so that like finds like."""

    def __init__(self, shape):
        super().__init__()
        width, mlp = shape.width, shape.mlp
        self.heads = shape.heads
        self.input_layernorm = RmsNorm(width, shape.rms_eps)
        self.post_attention_layernorm = RmsNorm(width, shape.rms_eps)
        linear = lambda i, o: nn.Linear(i, o, bias=False)
        self.q_proj, self.k_proj = linear(width, width), linear(width, width)
        self.v_proj, self.o_proj = linear(width, width), linear(width, width)
        self.gate_proj, self.up_proj = linear(width, mlp), linear(width, mlp)
        self.down_proj = linear(mlp, width)
        for module in (self.q_proj, self.k_proj, self.gate_proj, self.up_proj):
            nn.init.normal_(module.weight, 0, width**-0.5)
        nn.init.normal_(self.down_proj.weight, 0, 0.3 * mlp**-0.5 / math.sqrt(2 * shape.layers))
        with torch.no_grad():
            self.k_proj.weight.mul_(0.3).add_(self.q_proj.weight)
            rotation = torch.linalg.qr(torch.randn(width, width))[0]
            self.v_proj.weight.copy_(rotation)
            self.o_proj.weight.copy_(0.12 * rotation.T)

    def split(self, x):
        return x.view(*x.shape[:-1], self.heads, -1).transpose(-2, -3)

    def project(self, x, rotation):
        hidden = self.input_layernorm(x)
        q, k, v = self.q_proj(hidden), self.k_proj(hidden), self.v_proj(hidden)
        return rotate(self.split(q), rotation), rotate(self.split(k), rotation), self.split(v)

    def finish(self, x, attended):
        x = x + self.o_proj(attended.transpose(-2, -3).reshape(x.shape))
        hidden = self.post_attention_layernorm(x)
        return x + self.down_proj(F.silu(self.gate_proj(hidden)) * self.up_proj(hidden))


def rotate(x, rotation):
    cos, sin = rotation
    x = x.float()
    half = x.shape[-1] // 2
    turned = torch.cat([-x[..., half:], x[..., :half]], -1)
    return (x * cos + turned * sin).to(torch.bfloat16 if torch.is_autocast_enabled("cpu") else x.dtype)


class TinyLlava(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        self.vision = VisionTower(shape)
        self.linear_1 = nn.Linear(shape.vision_width, shape.width)
        self.linear_2 = nn.Linear(shape.width, shape.width)
        self.embed_tokens = nn.Embedding(shape.vocab, shape.width)
        with torch.no_grad():
            self.embed_tokens.weight.copy_(F.normalize(torch.randn(shape.vocab, shape.width), dim=-1))
        self.layers = nn.ModuleList(DecoderLayer(shape) for _ in range(shape.layers))
        self.norm = RmsNorm(shape.width, shape.rms_eps)
        self.lm_head = nn.Linear(shape.width, shape.vocab, bias=False)
        with torch.no_grad():
            self.lm_head.weight.copy_(self.embed_tokens.weight)
        dim = shape.width // shape.heads
        angles = torch.outer(
            torch.arange(1024).float(), shape.rope_theta ** (-torch.arange(0, dim, 2).float() / dim)
        )
        angles = torch.cat([angles, angles], -1)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def project_image(self, features):
        return self.linear_2(F.gelu(self.linear_1(features)))

    def rotation(self, positions):
        return self.cos[positions].unsqueeze(-3), self.sin[positions].unsqueeze(-3)

    def forward(self, system, features, kept, text, answer_rows, seen=None, early_layers=0, middle=((), None)):
        """Logits at rows of each question, the squared share of early image reading, and
        logits in the middle.

        `system [P]` token ids; `features [B, n, vision width]` of patches `kept [B, n]`;
        `text [B, Q, T]` token ids; `answer_rows [B, Q, A]`. `seen` is None or a pair:
        a layer (from 0), and a mask `[B, Q, n]` of the image tokens that questions
        still see from there on. The second result is the mean over text rows of
        |what the image adds in this layer|² / |residual|², summed over the first
        `early_layers` layers. The third has, for each of `middle = (layers, rows [B, Q])`,
        what the head makes of those rows after so many layers.
        """
        batch, num_questions, length = text.shape
        num_system, num_image = len(system), kept.shape[1]
        first_text = num_system + self.shape.patches
        text_positions = first_text + torch.arange(length).repeat(num_questions)
        sys_rotation = self.rotation(torch.arange(num_system))
        positions = torch.cat([num_system + kept, text_positions.expand(batch, -1)], 1)
        rotation = self.rotation(positions)
        s = self.embed_tokens(system)[None]
        x = torch.cat([self.project_image(features).float(), self.embed_tokens(text).flatten(1, 2)], 1)
        scale = (self.shape.width // self.shape.heads) ** -0.5
        causal = lambda n: torch.full((n, n), -1e4).triu(1)
        sys_mask, image_mask, own_mask = causal(num_system), causal(num_image), causal(length)
        image_mask = torch.cat([torch.zeros(num_image, num_system), image_mask], 1)
        hidden_mask = None
        if seen is not None:
            hidden_mask = torch.where(seen[1], 0.0, -1e4)[:, None, :, None, :]
            hidden_mask = hidden_mask.expand(-1, -1, -1, length, -1).flatten(2, 3)
        early, between = x.new_zeros(()), []
        flat_rows = lambda rows: (rows + length * torch.arange(num_questions)[None, :, None]).flatten(1)
        heads = self.shape.heads
        for number, layer in enumerate(self.layers):
            sq, sk, sv = layer.project(s, sys_rotation)
            if number + 1 < len(self.layers):
                weights = torch.softmax((sq @ sk.transpose(-1, -2)).float() * scale + sys_mask, -1)
                s = layer.finish(s, weights.to(sv.dtype) @ sv)
            q, k, v = layer.project(x, rotation)
            iq, tq = q[:, :, :num_image], q[:, :, num_image:]
            ik, tk = k[:, :, :num_image], k[:, :, num_image:]
            iv, tv = v[:, :, :num_image], v[:, :, num_image:]
            sk, sv = sk.expand(batch, -1, -1, -1), sv.expand(batch, -1, -1, -1)
            # Image rows: system and earlier image tokens.
            keys, values = torch.cat([sk, ik], 2), torch.cat([sv, iv], 2)
            weights = torch.softmax((iq @ keys.transpose(-1, -2)) * scale + image_mask.to(iq.dtype), -1)
            image_out = weights.to(values.dtype) @ values
            # Text rows: system, image, and their own question so far.
            own = lambda t: t.view(batch, heads, num_questions, length, -1)
            shared = (tq @ keys.transpose(-1, -2)) * scale
            if hidden_mask is not None and number >= seen[0]:
                shared = torch.cat(
                    [shared[..., :num_system], shared[..., num_system:] + hidden_mask.to(shared.dtype)], -1
                )
            mine = (own(tq) @ own(tk).transpose(-1, -2)) * scale + own_mask.to(tq.dtype)
            weights = torch.softmax(torch.cat([shared, mine.flatten(2, 3)], -1), -1).to(tv.dtype)
            near = own(weights[..., num_system + num_image :].contiguous()) @ own(tv)
            text_out = weights[..., : num_system + num_image] @ values + near.flatten(2, 3)
            if number < early_layers:
                read = weights[..., num_system : num_system + num_image] @ iv
                read = layer.o_proj(read.transpose(1, 2).reshape(batch, num_questions * length, -1))
                base = x[:, num_image:].detach().pow(2).sum(-1)
                early = early + (read.float().pow(2).sum(-1) / base).mean()
            if number + 1 < len(self.layers):
                x = layer.finish(x, torch.cat([image_out, text_out], 2))
                if number + 1 in middle[0]:
                    pick = flat_rows(middle[1][..., None])[..., None].expand(-1, -1, self.shape.width)
                    between.append(self.lm_head(self.norm(x[:, num_image:].gather(1, pick))).float())
            else:
                # Of the last layer only the rows that answer are wanted.
                rows = flat_rows(answer_rows)
                pick = rows[..., None].expand(-1, -1, self.shape.width)
                text_out = text_out.transpose(1, 2).reshape(batch, num_questions * length, -1)
                text_out = text_out.gather(1, pick).view(batch, rows.shape[1], heads, -1).transpose(1, 2)
                x = layer.finish(x[:, num_image:].gather(1, pick), text_out)
        logits = self.lm_head(self.norm(x))
        return logits.float().view(batch, num_questions, -1, self.shape.vocab), early, between
