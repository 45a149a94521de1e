"""One process or many: device, precision, and the sums that many processes share.

Under `torchrun` every process computes gradients on samples of its own and all of them take the
same step. Gradients are summed here rather than by a wrapper around the network, so that methods
see their own network and may call it as often as they like.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn

from bonafide.errors import InvalidInput

PRECISIONS = ("auto", "float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Processes:
    """This process among those that train together.

    Attributes:
        rank: its number; process 0 writes files and talks.
        world: how many there are.
        device: what it computes on.
    """

    rank: int
    world: int
    device: torch.device

    @classmethod
    def join(cls) -> Processes:
        """Meet the others that `torchrun` started, if it did."""
        local = int(os.environ.get("LOCAL_RANK", 0))
        cuda = torch.cuda.is_available()
        device = torch.device("cuda", local) if cuda else torch.device("cpu")
        if cuda:
            torch.cuda.set_device(device)
        world = int(os.environ.get("WORLD_SIZE", 1))
        if world > 1 and not distributed.is_initialized():
            distributed.init_process_group("nccl" if cuda else "gloo")
        return cls(int(os.environ.get("RANK", 0)) if world > 1 else 0, world, device)

    def leave(self) -> None:
        """Part from the others."""
        if self.world > 1:
            distributed.destroy_process_group()

    def share_weights(self, network: nn.Module) -> None:
        """Give every process the weights and buffers of process 0."""
        if self.world > 1:
            for value in network.state_dict().values():
                distributed.broadcast(value, 0)

    def mean_gradients(self, weights: Iterable[nn.Parameter]) -> None:
        """Replace gradients by their mean over all processes; a missing one counts as zero."""
        if self.world == 1:
            return
        trained = [weight for weight in weights if weight.requires_grad]
        gradients = [
            torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in trained
        ]
        # One message, since many small ones cost more than their content.
        flat = torch.cat([gradient.reshape(-1).float() for gradient in gradients])
        distributed.all_reduce(flat)
        sizes = [gradient.numel() for gradient in gradients]
        parts = torch.split(flat / self.world, sizes)
        for weight, part in zip(trained, parts, strict=True):
            weight.grad = part.view_as(weight).to(weight.dtype)

    def any(self, here: bool) -> bool:
        """Whether it is true in any process."""
        if self.world == 1:
            return here
        flag = torch.tensor([float(here)], device=self.device)
        distributed.all_reduce(flag)
        return bool(flag.item())

    def gather(self, here: Any) -> list[Any]:
        """What every process holds, by rank."""
        if self.world == 1:
            return [here]
        everywhere: list[Any] = [None] * self.world
        distributed.all_gather_object(everywhere, here)
        return everywhere


class Precision:
    """Mixed precision: numbers of 16 bits where they suffice, with gradients scaled for float16."""

    def __init__(self, choice: str, device: torch.device) -> None:
        """Decide; "auto" is float32 on a CPU, bfloat16 on a GPU that has it, else float16.

        Raises:
            InvalidInput: it is none of `PRECISIONS`, or float16 on a CPU, whose gradients vanish.
        """
        if choice not in PRECISIONS or (choice == "float16" and device.type == "cpu"):
            raise InvalidInput(
                f"precision must be one of {', '.join(PRECISIONS)} (float16 on a GPU only), "
                f"not {choice!r}"
            )
        if choice == "auto":
            half = "bfloat16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else ""
            choice = half or ("float16" if device.type == "cuda" else "float32")
        self.name = choice
        self._device = device.type
        self.scaler = torch.amp.GradScaler(device.type, enabled=choice == "float16")

    def autocast(self) -> torch.autocast:
        """The context in which networks are run."""
        kind = torch.float16 if self.name == "float16" else torch.bfloat16
        return torch.autocast(self._device, kind, enabled=self.name != "float32")

    def backward(self, loss: Tensor) -> None:
        """Gradients, scaled."""
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
