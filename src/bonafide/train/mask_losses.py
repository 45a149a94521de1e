"""What a map of logits loses against the mask of what was edited, and what it says of a picture.

All take logits and masks of float32 (N, H, W), masks of 0 and 1.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from bonafide.train.forensic_filters import edge_band
from bonafide.train.recipe import Batch


def mask_of(batch: Batch) -> Tensor:
    """The masks of a batch that was made for a method that `needs_masks`."""
    assert batch.mask is not None
    return batch.mask


def weighted_entropy(logits: Tensor, mask: Tensor, authentic: float, edited: float) -> Tensor:
    """Cross-entropy with a weight for each class, divided by the sum of the weights that occur."""
    weights = authentic + (edited - authentic) * mask
    losses = functional.binary_cross_entropy_with_logits(logits, mask, reduction="none")
    return (weights * losses).sum() / weights.sum()


def dice_loss(logits: Tensor, mask: Tensor) -> Tensor:
    """1 − the mean over pictures of 2 Σ p·m / (Σ p + Σ m), p the probabilities.

    A picture without a mask counts 1 whatever is said of it, and moves nothing.
    """
    edited = logits.sigmoid()
    overlap = (edited * mask).sum((1, 2))
    total = (edited + mask).sum((1, 2))
    return 1 - (2 * overlap / (total + 1e-9)).mean()


def edge_entropy(logits: Tensor, mask: Tensor, width: int) -> Tensor:
    """Cross-entropy along the borders of the mask alone, as a mean over all pixels.

    Args:
        logits, mask: as everywhere here.
        width: see `bonafide.train.forensic_filters.edge_band`.
    """
    return functional.binary_cross_entropy_with_logits(logits, mask, edge_band(mask, width))


def at_size(logits: Tensor, height: int, width: int) -> Tensor:
    """(N, 1, h, w) → (N, height, width), bilinear."""
    size = (height, width)
    resized = functional.interpolate(logits, size, mode="bilinear", align_corners=False)
    return resized.squeeze(1)
