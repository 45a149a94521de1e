"""One process or many: device, precision, and the sums that many processes share.

Devices, precision and messages are those of accelerate, so that `torchrun` and `accelerate launch`
both start a training. Gradients are summed here rather than by a wrapper around the network, so
that methods see their own network and may call it as often as they like; plugins that shard
weights (FSDP, DeepSpeed) are therefore not used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from accelerate import Accelerator, PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import broadcast, broadcast_object_list, gather_object, reduce
from torch import Tensor, nn

from bonafide.errors import BonafideError, InvalidInput

T = TypeVar("T")
PRECISIONS = ("auto", "float32", "bfloat16", "float16")
_NAMES = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}  # those of accelerate
_PATIENCE = timedelta(days=2)  # while the first process decodes


@dataclass(frozen=True)
class Processes:
    """This process among those that train together.

    Attributes:
        rank: its number; process 0 decodes, writes files and talks.
        world: how many there are.
        device: what it computes on.
    """

    rank: int
    world: int
    device: torch.device

    @classmethod
    def join(cls) -> Processes:
        """Meet the others that were started with this one, if any; may be called again."""
        state = PartialState(cpu=not torch.cuda.is_available(), timeout=_PATIENCE)
        return cls(state.process_index, state.num_processes, state.device)

    def leave(self) -> None:
        """Part from the others."""
        if self.world > 1:
            PartialState().destroy_process_group()
            PartialState._reset_state()

    def from_first(self, make: Callable[[], T]) -> T:
        """What `make` returns in process 0, in every process; the others wait for it.

        Raises:
            InvalidInput: in the others, with the message of an error in process 0.
        """
        if self.world == 1:
            return make()
        box: list[Any] = [None, None]
        if self.rank == 0:
            try:
                box[0] = make()
            except BonafideError as error:
                broadcast_object_list([None, str(error)])
                raise
        broadcast_object_list(box)
        if box[1] is not None:
            raise InvalidInput(box[1])
        made: T = box[0]
        return made

    def share_weights(self, network: nn.Module) -> None:
        """Give every process the weights and buffers of process 0."""
        if self.world > 1:
            for value in network.state_dict().values():
                value.copy_(broadcast(value))

    def sum_gradients(self, weights: Iterable[nn.Parameter], loss: float) -> float:
        """Replace gradients by their sum over all processes; a missing one counts as zero.

        Args:
            weights: of the network.
            loss: this process's share.

        Returns:
            The sum of the losses.
        """
        if self.world == 1:
            return loss
        trained = [weight for weight in weights if weight.requires_grad]
        gradients = [
            torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in trained
        ]
        # One message, since many small ones cost more than their content.
        flat = torch.cat(
            [torch.tensor([loss], device=self.device)]
            + [gradient.reshape(-1).float() for gradient in gradients]
        )
        total, *parts = torch.split(reduce(flat, "sum"), [1, *(one.numel() for one in gradients)])
        for weight, part in zip(trained, parts, strict=True):
            weight.grad = part.view_as(weight).to(weight.dtype)
        return float(total)

    def any(self, here: bool) -> bool:
        """Whether it is true in any process."""
        if self.world == 1:
            return here
        return bool(reduce(torch.tensor([float(here)], device=self.device), "sum").item())

    def gather(self, here: Any) -> list[Any]:
        """What every process holds, by rank."""
        return [here] if self.world == 1 else list(gather_object([here]))


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
        # An earlier training of this process may have chosen another.
        AcceleratorState._reset_state()
        self._accelerator = Accelerator(cpu=device.type == "cpu", mixed_precision=_NAMES[choice])
        self.scaler: Any = self._accelerator.scaler  # None but for float16

    def autocast(self) -> AbstractContextManager[None]:
        """The context in which networks are run."""
        context: AbstractContextManager[None] = self._accelerator.autocast()
        return context

    def backward(self, loss: Tensor) -> None:
        """Add gradients, scaled where they must be."""
        self._accelerator.backward(loss)

    def step(self, optimiser: torch.optim.Optimizer, network: nn.Module, clip: float) -> None:
        """Take a step, with a gradient norm of `clip` at most unless that is 0."""
        if self.scaler is not None:
            self.scaler.unscale_(optimiser)
        if clip:
            nn.utils.clip_grad_norm_(network.parameters(), clip)
        if self.scaler is None:
            optimiser.step()
        else:
            self.scaler.step(optimiser)
            self.scaler.update()
