"""Layouts of sets of pictures with captions, of which one or the other was changed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from bonafide.bench.samples import Sample
from bonafide.bench.tree import SPLITS, Layout, files
from bonafide.errors import InvalidInput
from bonafide.types import Question

BONA_FIDE = "orig"


def _dgm4(folder: Path) -> Iterator[Sample]:
    # metadata/{train,val,test}.json: lists of {id, image, text, fake_cls, fake_image_box,
    # fake_text_pos}. `image` begins with the name of the set's folder: DGM4/manipulation/… or
    # DGM4/origin/…. `fake_cls` is "orig", or what was changed, joined by "&": face_swap,
    # face_attribute, text_swap, text_attribute. The box is x, y of two corners, the positions count
    # the words of the text, by spaces, from 0. One picture may come with several captions.
    for table in files(folder, {".json"}):
        if table.stem.lower() not in SPLITS:
            continue
        try:
            rows = json.loads((folder / table).read_text("utf-8"))
            for row in rows:
                sample = _sample(folder, row, SPLITS[table.stem.lower()])
                if sample is not None:
                    yield sample
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise InvalidInput(f"{folder / table} is no list of captions: {error!r}") from None


def _sample(folder: Path, row: Mapping[str, Any], split: str) -> Sample | None:
    """The sample of a row; None where its picture is not there."""
    named = PurePosixPath(str(row["image"]).replace("\\", "/"))
    if named.is_absolute() or ".." in named.parts:
        return None
    choices = (named, PurePosixPath(*named.parts[1:]))
    path = next(
        (one for one in choices if ".." not in one.parts and (folder / one).is_file()), None
    )
    if path is None:
        return None
    label = str(row["fake_cls"])
    box = [int(edge) for edge in row.get("fake_image_box") or ()]
    words = [int(position) for position in row.get("fake_text_pos") or ()]
    left, top, right, bottom = box if len(box) == 4 else (0, 0, 0, 0)
    extra = {
        "id": str(row.get("id", "")),
        "caption": str(row["text"]),
        "caption_words": " ".join(map(str, words)),
        "caption_box": f"{left} {top} {right - left} {bottom - top}" if right > left else "",
    }
    return Sample(
        path.as_posix(),
        label,
        question=Question.MISCAPTIONED.value,
        group=path.as_posix(),
        split=split,
        extra={name: value for name, value in extra.items() if value},
    )


CAPTIONS = (
    Layout(
        "dgm4",
        "DGM4 (2023), also as FMS and others read it",
        "metadata/{train,val,test}.json, {origin,manipulation}/…",
        Question.MISCAPTIONED.value,
        _dgm4,
    ),
)
