"""HDP: learn a new forgery without its forerunners' pictures, by replaying a perturbation.

What it is
    A detector that goes on to a new kind of forgery forgets the old one, and pictures of the old
    one may not be kept. Instead one small perturbation is searched that the old detector takes for
    its forgery on any genuine picture: the new detector must go on calling genuine pictures with it
    forged. Its features of genuine pictures are held near those of the old one.

What the paper does
    A frozen old detector; one bounded universal perturbation that turns genuine pictures into what
    the old detector calls forged; for the new task cross-entropy on the new pictures and on
    perturbed genuine ones as forged, and distillation of features on genuine ones. Bound and
    weights could not be read.

What differs here
    Bound, steps and weights are our own. The perturbation is searched during the first `search`
    steps, by ascent in the direction of the sign, and stays from then on. The old
    detector is an exported checkpoint of this method (`--set old=FOLDER`, the folder of its
    training); without it this is the first task: plain cross-entropy.

Reference
    K. Sun, S. Chen, T. Yao, X. Sun, S. Ding, R. Ji, "Continual Face Forgery Detection via
    Historical Distribution Preserving", International Journal of Computer Vision 133, 2025
    (arXiv:2308.06217); S.-M. Moosavi-Dezfooli et al., "Universal Adversarial Perturbations",
    CVPR 2017.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from bonafide.train import recipe
from bonafide.train.augment import Chain, Pixels, Step, crop, jpeg, turn
from bonafide.train.backbones import Backbone, load_backbone
from bonafide.train.checkpoints import part_of
from bonafide.train.recipe import Batch, Output, Recipe


class Detector(nn.Module):
    """A backbone and a linear head."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(backbone.width, 1)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """float32 (N, 3, H, W) in [0, 1] → logits (N,), features (N, width)."""
        features = self.backbone(pixels).pooled
        return self.head(features).squeeze(1), features


class Network(nn.Module):
    """The detector that learns, the old one where there is one, and the perturbation.

    Attributes:
        now: what is trained and exported.
        old: frozen, None for a first task.
        perturbation: float32 (3, crop, crop), bounded, no weight: it is moved by `Method.search`.
        steps: that were done.
    """

    perturbation: Tensor
    steps: Tensor

    def __init__(self, now: Detector, old: Detector | None, side: int) -> None:
        super().__init__()
        self.now = now
        self.old = None if old is None else old.requires_grad_(False).eval()
        self.register_buffer("perturbation", torch.zeros(3, side, side))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def train(self, mode: bool = True) -> Network:
        """The old detector stays as it was."""
        super().train(mode)
        if self.old is not None:
            self.old.eval()
        return self

    def forward(self, pixels: Tensor) -> Output:
        """float32 (N, 3, H, W) in [0, 1] → `Output` without a map."""
        return Output(self.now(pixels)[0])

    def perturbed(self, pixels: Tensor) -> Tensor:
        """Pictures (N, 3, crop, crop) with the perturbation, in [0, 1]."""
        return (pixels + self.perturbation).clamp(0, 1)


@dataclass(frozen=True)
class Settings(recipe.Settings):
    """Our own choice; see `bonafide.train.recipe.Settings` for the shared ones.

    Attributes:
        backbone: a folder with a vision model, or its name on the hub.
        download: whether the backbone may be fetched from the hub.
        old: folder of the training that went before; "" for a first task.
        bound: largest value of the perturbation, in [0, 1].
        search: steps in which it is searched before it is replayed.
        replay: weight of the cross-entropy on perturbed genuine pictures.
        distillation: weight of the distance to the old features of genuine pictures.
    """

    learning_rate: float = 1e-4
    backbone: str = "microsoft/resnet-50"
    download: bool = False
    old: str = ""
    bound: float = 8 / 255
    search: int = 200
    replay: float = 1.0
    distillation: float = 1.0


class Method(Recipe):
    """Cross-entropy on the new task, replayed perturbation and distilled features."""

    id = "hdp"
    title = "Continual learning by a replayed universal perturbation"
    paper = "K. Sun et al., Continual Face Forgery Detection via HDP, IJCV 2025"
    Settings = Settings

    def network(self) -> Network:
        """The backbone, or the old detector and a copy of it that learns.

        Raises:
            InvalidInput: the backbone is not on this machine; or `old` holds no training of this
                method with this backbone.
        """
        wanted = self.settings
        detector = Detector(load_backbone(wanted.backbone, wanted.download))
        if not wanted.old:
            return Network(detector, None, wanted.crop)
        old = deepcopy(detector)
        old.load_state_dict(part_of(Path(wanted.old), "now.", old, self.id))
        return Network(deepcopy(old), old, wanted.crop)

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, float]]:
        """The new task; with an old detector, what holds the old one besides."""
        tuned, wanted = cast(Network, network), self.settings
        logits, features = tuned.now(batch.pixels)
        terms = {"bce": functional.binary_cross_entropy_with_logits(logits, batch.label)}
        genuine = batch.label < 0.5
        if tuned.old is not None and genuine.any():
            real = batch.pixels[genuine]
            if int(tuned.steps) < wanted.search:
                self.search(tuned, real)
            forged, _ = tuned.now(tuned.perturbed(real))
            terms["replay"] = wanted.replay * functional.binary_cross_entropy_with_logits(
                forged, torch.ones_like(forged)
            )
            with torch.no_grad():
                kept = tuned.old(real)[1]
            terms["distillation"] = wanted.distillation * functional.mse_loss(
                features[genuine], kept
            )
        if tuned.training:
            tuned.steps += 1
        total = torch.stack(list(terms.values())).sum()
        return total, {name: float(term.detach()) for name, term in terms.items()}

    def search(self, network: Network, real: Tensor) -> None:
        """One step of the perturbation towards what the old detector calls forged."""
        assert network.old is not None
        with torch.enable_grad():
            moved = network.perturbation.clone().requires_grad_()
            logits = network.old((real + moved).clamp(0, 1))[0]
            # Cross-entropy, not the logit: pictures that are fooled already ask for no more.
            lost = functional.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))
            (slope,) = torch.autograd.grad(lost, moved)
        bound = self.settings.bound
        step = 2.5 * bound / max(1, min(self.settings.search, 40))
        network.perturbation.sub_(step * slope.sign()).clamp_(-bound, bound)

    def optimiser(self, network: nn.Module) -> torch.optim.Optimizer:
        """AdamW over the detector that learns."""
        return torch.optim.AdamW(
            cast(Network, network).now.parameters(),
            lr=self.settings.learning_rate,
            weight_decay=self.settings.weight_decay,
        )

    def augment(self) -> Chain[Pixels]:
        """Turns, crops and JPEG."""
        side = self.settings.crop
        return Chain(
            (
                Step("turn", 1.0, turn),
                Step("crop", 1.0, partial(crop, side=side)),
                Step("jpeg", 0.5, partial(jpeg, low=40, high=100)),
            )
        )
