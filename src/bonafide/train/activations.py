"""Activation checkpointing: blocks are run again for the gradient instead of kept in memory.

Reference: T. Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


@contextmanager
def recomputed(network: nn.Module, wanted: bool = True) -> Iterator[int]:
    """Recompute the blocks of a network while it is trained; yields how many there are.

    A block is a member of an `nn.ModuleList`, as transformers lay out their layers. Blocks with
    batch statistics are kept, since running them twice would count their statistics twice.
    Gradients are the same; dropout draws the same numbers twice.

    Args:
        network: its blocks are changed, and changed back.
        wanted: False leaves everything as it is.
    """
    blocks = list(_blocks(network)) if wanted else []
    for block in blocks:
        # On the instance, so that names in the state dict stay.
        block.forward = _twice(block.forward)
    try:
        yield len(blocks)
    finally:
        for block in blocks:
            del block.forward


def _blocks(network: nn.Module) -> Iterator[nn.Module]:
    """The outermost members of lists without batch statistics."""
    for child in network.children():
        if isinstance(child, nn.ModuleList):
            for block in child:
                if any(isinstance(part, _BatchNorm) for part in block.modules()):
                    yield from _blocks(block)
                else:
                    yield block
        else:
            yield from _blocks(child)


def _twice(forward: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(*args, **kwargs)
        return checkpoint(forward, *args, use_reentrant=False, **kwargs)

    return run
