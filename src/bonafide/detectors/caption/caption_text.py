"""Text that can be read in a picture, against the caption that came with it.

What it looks for
    Quotations, dates and numbers with a word ("500 people") of the caption in the text of the
    picture: on signs, banners, documents, screenshots, overlays.

Why it works
    A caption that quotes a sign can be compared with the sign. Captions are changed more often than
    pictures are.

When it fails
    Most pictures hold no text, and most captions quote none. Handwriting, decorative letters, small
    print and scripts other than Latin and Chinese are read badly or not at all. A quotation in the
    caption may be what somebody said, and a date on a sign need not be the day of the photograph.

How to read it
    As two texts beside each other. The score is the share of the comparisons that disagree. It is
    not calibrated and accuses nobody.

Reference
    This project, 2026; reader: PP-OCRv6 as shipped by RapidOCR. The question: R. Shao et al.,
    "Detecting and Grounding Multi-Modal Media Manipulation", CVPR 2023.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from bonafide.detectors.caption._reading import (
    MOST_SAID,
    Said,
    Text,
    counted,
    sentence,
    share,
    shown,
)
from bonafide.media.context import Context
from bonafide.networks.ocr import Line, read_lines
from bonafide.types import (
    Card,
    Fact,
    Measured,
    Measurement,
    NotApplicable,
    Question,
    Region,
)

SAME = 0.85  # likeness from which two texts are the same, but for errors of reading
ALIKE = 0.5  # likeness from which one is another version of the other
MOST_REGIONS = 20

CARD = Card(
    id="caption_text",
    version="1",
    question=Question.MISCAPTIONED,
    title="Text in the picture against the caption",
    cost=3.0,
    facts={
        "caption": "the caption that was given",
        "lines": "lines of text that were read in the picture [count]",
        "texts": "those lines, from top to bottom [list of texts]",
        "compared": "quotations, dates and numbers that could be compared [count]",
        "disagree": "of those, how many disagree [count]",
        "statements": "each comparison in words [list]",
        "words": "positions in the caption of words that disagree, from 0 [list]",
        "boxes": "left, top, width and height of the lines that disagree [list, pixels]",
    },
    options=("caption",),
    requires="caption",
    paper="This project, 2026; Shao et al., CVPR 2023",
    licence="Apache-2.0, the networks of RapidOCR too",
    training_data="none here; the networks of PP-OCRv6",
    limits="Not calibrated: it compares, and accuses nobody. Pictures are reduced to 1,600 pixels "
    "before they are read, at most 60 lines are. Needs the extra bonafide[caption].",
)


class Detector:
    """Reads the picture, and compares it with the caption.

    Args:
        caption: as given with the picture; None where none was.
    """

    def __init__(self, caption: str | None = None) -> None:
        self.caption = caption

    def measure(self, ctx: Context) -> Measured:
        """Return one measurement, of the whole picture.

        Raises:
            MissingExtra: nothing here can read text.
        """
        if not (self.caption or "").strip():
            return NotApplicable("no caption was given")
        caption = Text.of(self.caption or "")
        lines = read_lines(ctx.image.pixels)
        said = list(compare(caption, lines))
        wrong = {line for one in said if one.agrees is False for line in one.lines}
        facts: dict[str, Fact] = {
            "caption": caption.text,
            "lines": len(lines),
            "texts": [Text.of(line.text).text for line in lines],
            **counted(said),
            "boxes": [list(vars(lines[number].box).values()) for number in sorted(wrong)],
        }
        regions = [
            Region(
                **vars(line.box), score=float(number in wrong), name=Text.of(line.text).text[:60]
            )
            for number, line in enumerate(lines)
        ]
        regions.sort(key=lambda region: -(region.score or 0.0))
        return [
            Measurement(
                score=share(said),
                summary=_summary(lines, said),
                regions=tuple(regions[:MOST_REGIONS]),
                facts=facts,
            )
        ]


def compare(caption: Text, lines: Sequence[Line]) -> Iterator[Said]:
    """What a caption and the lines of a picture say of the same things.

    Args:
        caption: that came with the picture.
        lines: that were read in it.
    """
    texts = [Text.of(line.text) for line in lines]
    yield from _quotations(caption, texts)
    yield from _dates(caption, texts)
    yield from _numbers(caption, texts)


def _quotations(caption: Text, texts: Sequence[Text]) -> Iterator[Said]:
    joined = " ".join(word for text in texts for word in text.words)
    for part in caption.quotations:
        wanted = " ".join(Text.of(part.text).words)
        if not texts or not wanted:
            continue
        likeness = [SequenceMatcher(None, wanted, " ".join(text.words)).ratio() for text in texts]
        best = max(range(len(texts)), key=likeness.__getitem__)
        if wanted in joined or likeness[best] >= SAME:
            agreed = f"the picture contains the text {shown(part.text)}, which the caption quotes"
            yield Said(agreed, True, (), (best,))
        elif likeness[best] >= ALIKE:
            yield Said(
                f"the picture contains the text {shown(texts[best].text)}, the caption quotes "
                f"{shown(part.text)}",
                False,
                caption.positions(part),
                (best,),
            )
        else:
            yield Said(
                f"no text like {shown(part.text)}, which the caption quotes, was read in the "
                "picture",
                None,
            )


def _dates(caption: Text, texts: Sequence[Text]) -> Iterator[Said]:
    dated = [(number, date) for number, text in enumerate(texts) for date in text.dates]
    for claimed in caption.dates:
        if not dated:
            return
        apart = [min(claimed.apart(first, last) for first, last in date.days) for _, date in dated]
        best = min(range(len(dated)), key=apart.__getitem__)
        number, date = dated[best]
        if apart[best] == 0:
            yield Said(
                f"the picture contains the date {shown(date.text)}, the caption says "
                f"{shown(claimed.text)} too",
                True,
                (),
                (number,),
            )
        else:
            yield Said(
                f"the picture contains the date {shown(date.text)}, the caption says "
                f"{shown(claimed.text)}",
                False,
                caption.positions(claimed),
                (number,),
            )


def _numbers(caption: Text, texts: Sequence[Text]) -> Iterator[Said]:
    for claimed in caption.counts:
        there = [
            (number, one)
            for number, text in enumerate(texts)
            for one in text.counts
            if one.word == claimed.word
        ]
        if not there:
            continue
        same = next((pair for pair in there if pair[1].number == claimed.number), None)
        number, one = same or there[0]
        if same:
            text = f"the picture and the caption both say {shown(claimed.text)}"
            yield Said(text, True, (), (number,))
        else:
            yield Said(
                f"the picture contains {shown(one.text)}, the caption says {shown(claimed.text)}",
                False,
                caption.positions(claimed),
                (number,),
            )


def _summary(lines: Sequence[Line], said: list[Said]) -> str:
    if said:
        return sentence(said)
    if not lines:
        return "No text was read in the picture."
    first = ", ".join(shown(line.text) for line in lines[:MOST_SAID])
    return f"The picture contains the text {first}; the caption says nothing comparable."
