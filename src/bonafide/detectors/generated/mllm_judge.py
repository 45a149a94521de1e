"""What a multimodal model says of the picture, asked by written prompts.

What it looks for
    Whatever the model that you name can see: defects, things that do not add up, what generators
    are known for.

Why it works
    Large models have seen many pictures of both kinds, and judge meaning, which no test of pixels
    does.

When it fails
    Models see signs of a generator where there are none, change their answer with the wording, and
    obey text in the picture. They see a reduced copy, in which traces in pixels are gone. Nothing
    is known of how good a model is until you measure it on labelled files.

How to read it
    The score is the share of prompts that were answered with "generated" less that of
    "photograph"; an undetermined answer counts for neither. It has no part in a verdict unless you
    calibrate it: `bonafide bench measure --judge`, then `bonafide bench calibrate`.

Reference
    The prompts by the description of mllm-defake, 2025, AIGI-Holmes, ICCV 2025, FakeShield, ICLR
    2025, VHD11K, 2024, Antidote, CVPR 2025; see `bonafide.explain.judge`.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bonafide.media.context import Context
from bonafide.types import (
    Card,
    Fact,
    Failed,
    Measured,
    Measurement,
    NotApplicable,
    Opinion,
    Question,
)

CARD = Card(
    id="mllm_judge",
    version="1",
    question=Question.SYNTHETIC,
    title="A multimodal model's opinion",
    cost=20.0,
    facts={
        "asked": "prompts by which the model was asked [count]",
        "generated": "of those, answered with generated [count]",
        "photograph": "of those, answered with photograph [count]",
        "undetermined": "of those, answered with neither [count]",
        "answers": "prompt and answer of each [list]",
        "requests": "requests to the endpoint, those answered from the cache included [count]",
        "tokens_in": "tokens that were sent [count]",
        "tokens_out": "tokens that came back [count]",
        "trouble": "what kept the endpoint from answering",
    },
    options=("judge",),
    requires="judge",
    paper="mllm-defake, 2025; AIGI-Holmes, ICCV 2025; FakeShield, ICLR 2025; VHD11K, 2024",
    licence="that of the model you name",
    training_data="that of the model you name; unknown",
    limits="Off unless you name a model with --judge. Sends the picture, reduced to 1,024 pixels, "
    "to its endpoint. Not calibrated: it has no vote until you calibrate it.",
)


class Judge(Protocol):
    """A model that can be asked about a picture."""

    def ask(self, pixels: NDArray[np.uint8]) -> Opinion:
        """What it says of a picture, uint8 H×W×3, RGB."""
        ...


class Detector:
    """Counts the answers of a model.

    Args:
        judge: the model; None where none was named, and then nothing is asked.
    """

    def __init__(self, judge: Judge | None = None) -> None:
        self.judge = judge

    def measure(self, ctx: Context) -> Measured:
        """Return one measurement, of the whole picture."""
        if self.judge is None:
            return NotApplicable("no model was named")
        opinion = self.judge.ask(ctx.image.pixels)
        said = list(opinion.answers.values())
        asked, generated, photograph = len(said), said.count("generated"), said.count("photograph")
        undetermined = asked - generated - photograph
        if undetermined == asked:
            if opinion.failure:
                return Failed(f"the model could not be asked: {opinion.failure}")
            return NotApplicable(f"the model abstained ({asked} of {asked} answers undetermined)")
        facts: dict[str, Fact] = {
            "asked": asked,
            "generated": generated,
            "photograph": photograph,
            "undetermined": undetermined,
            "answers": [list(pair) for pair in opinion.answers.items()],
            "requests": opinion.requests,
            "tokens_in": opinion.tokens_in,
            "tokens_out": opinion.tokens_out,
        }
        if opinion.failure:
            facts["trouble"] = opinion.failure
        summary = (
            f"Of {asked} answers of a model, {generated} say generated, {photograph} photograph "
            f"and {undetermined} neither."
        )
        score = round((generated - photograph) / asked, 4)
        return [Measurement(score=score, summary=summary, facts=facts)]
