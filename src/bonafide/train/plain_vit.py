"""The parts of a pretrained plain vision transformer, for methods that run its blocks themselves.

Weights come from a ViT of transformers, or from the encoder of a masked autoencoder, which is the
same network without its mask.

Source: A. Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021; K. He et al., "Masked
Autoencoders Are Scalable Vision Learners", CVPR 2022; stochastic depth: G. Huang et al., ECCV 2016.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bonafide.errors import InvalidInput
from bonafide.train.backbones import Normalise, load_model
from bonafide.train.recipe import Settings

_UNUSED = ("pooler.", "embeddings.mask_token")


class PlainVit(nn.Module):
    """Patches of a picture as tokens, and the blocks that are to be run on them.

    Args:
        name: a folder with a ViT or a masked autoencoder of transformers, or its name on the hub.
        download: whether it may be fetched.

    Attributes:
        width: channels of a token.
        heads: of each attention.
        patch: side of a patch, pixels.
        blocks: each has `layernorm_before`, `attention` (with `q_proj`, `k_proj`, `v_proj` and
            `o_proj`), `layernorm_after` and `mlp` (with `fc1`, `activation_fn` and `fc2`).
        norm: after the last block.

    Raises:
        InvalidInput: it cannot be loaded, or is of another family.
    """

    def __init__(self, name: str, download: bool = False) -> None:
        super().__init__()
        model, statistics = load_model(name, download, _UNUSED)
        config: Any = model.config
        if config.model_type not in ("vit", "vit_mae") or not hasattr(model, "layers"):
            raise InvalidInput(
                f"backbone {name!r} is no ViT or masked autoencoder as transformers 5 lays it out "
                f"but {config.model_type}"
            )
        self.normalise = Normalise(statistics)
        self.width = int(config.hidden_size)
        self.heads = int(config.num_attention_heads)
        self.patch = int(config.patch_size)
        embeddings: Any = model.embeddings
        self.project = embeddings.patch_embeddings.projection
        places = embeddings.position_embeddings.detach()
        self.class_token = nn.Parameter(embeddings.cls_token.detach()[0] + places[0, :1])
        self.places = nn.Parameter(places[:, 1:].clone())
        self.blocks: Any = model.layers
        self.norm: Any = model.layernorm

    def forward(self, pixels: Tensor) -> Tensor:
        """float32 (N, 3, H, W) in [0, 1], sides multiples of the patch → (N, h, w, width)."""
        tokens = self.project(self.normalise(pixels))
        side = round(self.places.shape[1] ** 0.5)
        places = self.places.transpose(1, 2).reshape(1, self.width, side, side)
        size = tokens.shape[-2:]
        if size != (side, side):
            places = functional.interpolate(places, size, mode="bicubic", align_corners=False)
        placed: Tensor = (tokens + places).permute(0, 2, 3, 1)
        return placed


def by_head(tokens: Tensor, heads: int) -> Tensor:
    """(N, L, C) → (N, heads, L, C / heads)."""
    count, length, channels = tokens.shape
    return tokens.reshape(count, length, heads, channels // heads).transpose(1, 2)


def without_heads(tokens: Tensor) -> Tensor:
    """(N, heads, L, d) → (N, L, heads · d)."""
    return tokens.transpose(1, 2).flatten(2)


class StochasticDepth(nn.Module):
    """Leaves a residual branch out for some pictures of a training step.

    Args:
        share: of the pictures, in [0, 1).
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, branch: Tensor) -> Tensor:
        """(N, …) → the same shape; what stays is scaled up so that the mean does not change."""
        if not self.training or not self.share:
            return branch
        kept = torch.rand(len(branch), *[1] * (branch.ndim - 1), device=branch.device) >= self.share
        return branch * kept / (1 - self.share)


def adamw(network: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    """AdamW that does not decay biases, norms and single tokens."""
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [weight for weight in trained if weight.ndim > 1]},
        {"params": [weight for weight in trained if weight.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, weight_decay=settings.weight_decay)
