"""Losses of maps, by hand."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from bonafide.train.mask_losses import (
    at_size,
    dice_loss,
    edge_entropy,
    weighted_entropy,
)


def test_classes_weigh_as_told() -> None:
    logits = torch.tensor([[[0.0, math.log(3)]]])
    mask = torch.tensor([[[0.0, 1.0]]])
    expected = (0.5 * math.log(2) + 2.5 * math.log(4 / 3)) / 3.0
    assert float(weighted_entropy(logits, mask, 0.5, 2.5)) == pytest.approx(expected)
    two = torch.stack([torch.zeros_like(logits), logits], 1)
    weights = torch.tensor([0.5, 2.5])
    as_classes = torch.nn.functional.cross_entropy(two, mask.long(), weights)
    torch.testing.assert_close(weighted_entropy(logits, mask, 0.5, 2.5), as_classes)


def test_dice_of_two_pictures_by_hand() -> None:
    logits = torch.logit(torch.tensor([[[0.5, 0.25]], [[0.5, 0.5]]])).requires_grad_()
    mask = torch.tensor([[[1.0, 0.0]], [[0.0, 0.0]]])
    loss = dice_loss(logits, mask)
    assert float(loss.detach()) == pytest.approx(1 - (2 * 0.5 / 1.75 + 0) / 2)
    loss.backward()
    assert logits.grad[1].abs().max() == 0


def test_only_borders_count_for_edges() -> None:
    mask = torch.zeros(1, 8, 8)
    mask[:, :, 4:] = 1
    wrong_far_away = torch.where(mask > 0, 9.0, -9.0)
    wrong_far_away[..., 0] = 9.0
    wrong_close_by = torch.where(mask > 0, 9.0, -9.0)
    wrong_close_by[..., 3] = 9.0
    assert float(edge_entropy(wrong_far_away, mask, 3)) < 1e-3
    assert float(edge_entropy(wrong_close_by, mask, 3)) == pytest.approx(9 / 8, abs=1e-3)
    assert float(edge_entropy(torch.ones(1, 8, 8), torch.zeros(1, 8, 8), 3)) == 0


def test_maps_are_brought_to_the_pictures_size() -> None:
    assert at_size(torch.rand(2, 1, 3, 4), 9, 11).shape == (2, 9, 11)
