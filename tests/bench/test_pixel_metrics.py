"""Pixel metrics against scikit-learn on flattened pictures."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as reference

from bonafide.bench import pixel_metrics

Picture = tuple[NDArray[np.bool_], NDArray[np.float32]]


@st.composite
def pictures(draw: st.DrawFn) -> Picture:
    """An edited picture's mask and a heatmap that is anything, often with few levels."""
    height, width = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    mask = random.random((height, width)) < draw(st.sampled_from([0.05, 0.5, 1.0]))
    mask[0, 0] = True
    levels = draw(st.sampled_from([0, 1, 2, 5]))
    heatmap = random.random((height, width))
    if levels:
        heatmap = np.round(heatmap * levels) / levels
    return mask, (heatmap * draw(st.sampled_from([0.4, 1.0]))).astype(np.float32)


@pytest.mark.filterwarnings("ignore:A single label was found")
@given(pictures())
@settings(max_examples=200, deadline=None)
def test_equal_to_scikit_learn(picture: Picture) -> None:
    mask, heatmap = picture
    scores = pixel_metrics.score_picture(mask, heatmap)
    counts = scores.counts
    truth, marked = mask.ravel(), heatmap.ravel() >= 0.5
    assert counts.f1 == pytest.approx(reference.f1_score(truth, marked, zero_division=0), abs=1e-9)
    iou = reference.jaccard_score(truth, marked, zero_division=0)
    assert counts.iou == pytest.approx(iou, abs=1e-9)
    precision = reference.precision_score(truth, marked, zero_division=0)
    assert counts.precision == pytest.approx(precision, abs=1e-9)
    assert counts.recall == pytest.approx(reference.recall_score(truth, marked), abs=1e-9)
    mcc = reference.matthews_corrcoef(truth, marked)
    assert counts.mcc == pytest.approx(mcc, abs=1e-9)
    if truth.all():
        assert math.isnan(scores.auc)
    else:
        expected = reference.roc_auc_score(truth, heatmap.ravel())
        assert scores.auc == pytest.approx(expected, abs=1e-9)


def test_the_inverse_of_the_mask_is_wrong() -> None:
    mask = np.zeros((8, 8), np.bool_)
    mask[:2] = True
    scores = pixel_metrics.score_picture(mask, (~mask).astype(np.float32))
    assert scores.counts.f1 == scores.counts.iou == scores.auc == 0.0
    assert scores.counts.mcc == -1.0


def test_the_threshold_is_a_half_and_belongs_to_the_marked() -> None:
    mask = np.array([[True, False]])
    at = pixel_metrics.score_picture(mask, np.array([[0.5, 0.4999]], np.float32))
    assert at.counts == pixel_metrics.PixelCounts(1, 0, 0, 1)
    assert at.counts.f1 == 1.0


def test_silence_is_not_rewarded() -> None:
    mask = np.zeros((4, 4), np.bool_)
    mask[0] = True
    for heatmap in (None, np.zeros((4, 4), np.float32)):
        scores = pixel_metrics.score_picture(mask, heatmap)
        assert scores.counts == pixel_metrics.PixelCounts(0, 0, 4, 12)
        assert scores.counts.precision == scores.counts.f1 == scores.counts.mcc == 0.0
        assert scores.auc == 0.5
    assert math.isnan(pixel_metrics.score_picture(np.ones((2, 2), np.bool_), None).auc)


def test_authentic_pictures_have_no_f1() -> None:
    mask = np.zeros((4, 5), np.bool_)
    heatmap = np.zeros((4, 5), np.float32)
    heatmap[0, 0] = 0.7
    scores = pixel_metrics.score_picture(mask, heatmap)
    counts = scores.counts
    for value in (counts.f1, counts.iou, counts.mcc, counts.precision, counts.recall, scores.auc):
        assert math.isnan(value)
    assert counts.marked_share == 1 / 20


def test_summary_by_hand() -> None:
    mask = np.zeros((2, 2), np.bool_)
    edited = mask.copy()
    edited[0] = True
    right = pixel_metrics.score_picture(edited, edited.astype(np.float32))
    missed = pixel_metrics.score_picture(edited, None)
    whole = pixel_metrics.score_picture(np.ones((2, 2), np.bool_), np.ones((2, 2), np.float32))
    quiet = pixel_metrics.score_picture(mask, np.full((2, 2), 0.4, np.float32))
    false = pixel_metrics.score_picture(mask, np.array([[0.9, 0], [0, 0]], np.float32))
    summary = pixel_metrics.summarise([right, missed, whole, quiet, false])
    assert (summary.edited, summary.authentic, summary.auc_pictures) == (3, 2, 2)
    assert summary.f1 == pytest.approx(2 / 3)
    assert summary.auc == pytest.approx(0.75)
    assert summary.pooled_f1 == pytest.approx(12 / 14)  # 6 found, 2 missed
    assert summary.false_region_rate == 0.5
    assert summary.false_marked_share == pytest.approx(0.125)
    nothing = pixel_metrics.summarise([])
    assert math.isnan(nothing.f1)
    assert math.isnan(nothing.pooled_f1)
    assert math.isnan(nothing.false_region_rate)


def test_large_counts_do_not_overflow() -> None:
    counts = pixel_metrics.PixelCounts(10**8, 10**8, 10**8, 10**8)
    assert counts.mcc == 0.0
    assert counts.f1 == 0.5


def test_auc_of_more_pixels_than_one_part() -> None:
    random = np.random.default_rng(0)
    heatmap = random.integers(0, 50, (1500, 1500)).astype(np.float32) / 49
    mask = random.random((1500, 1500)) < 0.3 + 0.4 * heatmap
    expected = reference.roc_auc_score(mask.ravel(), heatmap.ravel())
    assert pixel_metrics.pixel_auc(mask, heatmap) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("mask", "heatmap", "message"),
    [
        (np.zeros((2, 2), np.uint8), np.zeros((2, 2)), "boolean"),
        (np.zeros((2, 2, 1), np.bool_), np.zeros((2, 2, 1)), "boolean"),
        (np.zeros((0, 2), np.bool_), np.zeros((0, 2)), "boolean"),
        (np.zeros((2, 2), np.bool_), np.zeros((2, 3)), "differ in shape"),
        (np.zeros((2, 2), np.bool_), np.full((2, 2), 1.5), r"\[0, 1\]"),
        (np.zeros((2, 2), np.bool_), np.full((2, 2), np.nan), r"\[0, 1\]"),
    ],
)
def test_bad_arguments_are_errors(
    mask: NDArray[np.bool_], heatmap: NDArray[np.float64], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        pixel_metrics.score_picture(mask, heatmap)
