"""Layouts of sets that ask whether a part of a picture was changed, most of them with masks.

Where a mask does not mark what was changed in white, the column `mask_marks` says how it does:
"black", or "green". `bonafide.bench.masks` reads all three.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from bonafide.bench.samples import Sample
from bonafide.bench.tree import Groups, Layout, files, folders_of
from bonafide.errors import InvalidInput
from bonafide.types import Question

_CASIA_ID = re.compile(r"(?<![a-z])([a-z]{3})_?(\d{4,5})(?!\d)")


def _sample(path: PurePosixPath, label: str, **fields: Any) -> Sample:
    return Sample(path.as_posix(), label, question=Question.EDITED.value, **fields)


def _casia(folder: Path) -> Iterator[Sample]:
    # v1: Au/Au_ani_0001.jpg, [Tp/]{Sp,CM}/Sp_[DS]_…_ani0001_sec0002_0003.jpg; v2: Au/, Tp/ with
    # Tp_[DS]_…. D: two sources, a splice; S: one, a copy-move. Masks are had from elsewhere, in a
    # folder called groundtruth, as <name>_gt.png. Everything made from one photograph, and that
    # photograph, form a group.
    found, masks = [], {}
    for path in files(folder):
        if path.stem.lower().endswith(("_gt", "_gt3")):
            masks[path.stem.lower().removesuffix("3").removesuffix("_gt")] = path
        elif re.match(r"(Au|Tp|Sp|CM)_", path.stem, re.IGNORECASE):
            found.append(path)
    groups = Groups()
    used = {
        path: ["".join(pair) for pair in _CASIA_ID.findall(path.stem.lower())] or [path.stem]
        for path in found
    }
    for names in used.values():
        groups.join(names)
    for path in found:
        kind = path.stem[3:4].upper()
        label = {"D": "splice", "S": "copymove"}.get(kind, "tampered")
        mask = masks.get(path.stem.lower())
        if path.stem.lower().startswith("au_"):
            label, mask = "authentic", None
        yield _sample(
            path,
            label,
            group=groups.of(used[path][0]),
            mask=mask.as_posix() if mask else None,
        )


def _columbia(folder: Path) -> Iterator[Sample]:
    # 4cam_auth/<camera>_….tif, 4cam_splc/<camera>_<camera>_….tif, and for both a folder edgemask of
    # <name>_edgemask.jpg: red for what stayed, green for what was pasted. The first camera is the
    # group.
    every = list(files(folder))
    masks = {
        path.stem.lower().removesuffix("_edgemask"): path
        for path in every
        if path.stem.lower().endswith("_edgemask")
    }
    for path in every:
        parts = "/".join(folders_of(path)).lower()
        if path.suffix.lower() not in (".tif", ".tiff", ".bmp") or "edgemask" in parts:
            continue
        group = path.stem.split("_")[0]
        if "4cam_auth" in parts:
            yield _sample(path, "authentic", group=group)
        elif "4cam_splc" in parts:
            mask = masks.get(path.stem.lower())
            marks = {"mask_marks": "green"} if mask else {}
            place = mask.as_posix() if mask else None
            yield _sample(path, "splice", group=group, mask=place, extra=marks)


def _coverage(folder: Path) -> Iterator[Sample]:
    # image/1.tif is the original of image/1t.tif; mask/1forged.tif marks what was pasted, 1copy.tif
    # where it came from, 1paste.tif the same before it was changed.
    every = {path.as_posix().lower(): path for path in files(folder)}
    masks = {
        path.stem.lower().removesuffix("forged"): path
        for path in every.values()
        if path.stem.lower().endswith("forged")
    }
    for path in every.values():
        named = re.fullmatch(r"(\d+)(t?)", path.stem.lower())
        if named is None or "image" not in (part.lower() for part in folders_of(path)):
            continue
        number, tampered = named.groups()
        if tampered:
            mask = masks.get(number)
            place = mask.as_posix() if mask else None
            yield _sample(path, "copymove", group=number, mask=place)
        else:
            yield _sample(path, "authentic", group=number)


_NIST_KINDS = {
    "IsManipulationTypeRemoval": "removal",
    "IsManipulationTypeSplice": "splice",
    "IsManipulationTypeCopyClone": "copymove",
}


def _nist16(folder: Path) -> Iterator[Sample]:
    # reference/manipulation/NC2016-manipulation-ref.csv, bar-separated, names probe, mask (black
    # where changed) and base picture; there are near-copies of each, so the base is the group.
    rows: dict[str, dict[str, str]] = {}
    for table in files(folder, {".csv"}):
        if not re.fullmatch(r"nc2016-.*-ref", table.stem.lower()):
            continue
        root = folder / PurePosixPath(*table.parts[:-3])
        try:
            with (folder / table).open(encoding="utf-8-sig", newline="") as stream:
                for row in csv.DictReader(stream, delimiter="|"):
                    place = (root / row["ProbeFileName"]).relative_to(folder).as_posix()
                    # A probe stands in several tables; the row with a mask says most.
                    if place not in rows or row.get("ProbeMaskFileName"):
                        mask = row.get("ProbeMaskFileName") or ""
                        base = PurePosixPath(*table.parts[:-3]).as_posix()
                        rows[place] = row | {"mask": mask and f"{base}/{mask}".removeprefix("./")}
        except (OSError, UnicodeDecodeError, KeyError, csv.Error) as error:
            raise InvalidInput(f"{folder / table} cannot be read: {error!r}") from None
    for place, row in rows.items():
        if not (folder / place).is_file():
            continue
        group = PurePosixPath(row.get("BaseFileName") or place).stem
        if row.get("IsTarget", "").upper() != "Y":
            yield _sample(PurePosixPath(place), "authentic", group=PurePosixPath(place).stem)
            continue
        kinds = [label for name, label in _NIST_KINDS.items() if row.get(name, "").upper() == "Y"]
        mask = row["mask"] or None
        yield _sample(
            PurePosixPath(place),
            kinds[0] if len(kinds) == 1 else "tampered",
            group=group,
            mask=mask,
            extra={"mask_marks": "black"} if mask else {},
        )


def _imd2020(folder: Path) -> Iterator[Sample]:
    # <id>/<name>_orig.jpg, <id>/<name>_0.jpg, … and <id>/<name>_0_mask.png beside each.
    every = list(files(folder))
    masks = {
        (path.parent, path.stem.removesuffix("_mask")): path
        for path in every
        if path.stem.endswith("_mask")
    }
    for path in every:
        parts = folders_of(path)
        if path.stem.endswith("_mask") or not parts:
            continue
        if path.stem.endswith("_orig"):
            yield _sample(path, "authentic", group=parts[-1])
        else:
            mask = masks.get((path.parent, path.stem))
            place = mask.as_posix() if mask else None
            yield _sample(path, "tampered", group=parts[-1], mask=place)


def _comofod(folder: Path) -> Iterator[Sample]:
    # 001_O.png original, 001_F.png forged, 001_B.png mask, 001_M.png the mask in colour; further
    # versions of original and forgery after processing, 001_F_JC1.jpg, share scene and mask.
    scenes: dict[tuple[PurePosixPath, str], PurePosixPath] = {}
    found: list[tuple[PurePosixPath, str, str, str]] = []
    for path in files(folder):
        named = re.fullmatch(r"(\d+)_([OFBM])(?:_(\w+))?", path.stem, re.IGNORECASE)
        if named is None:
            continue
        scene, kind, processing = named.group(1), named.group(2).upper(), named.group(3) or ""
        if kind == "B":
            scenes[path.parent, scene] = path
        elif kind != "M":
            found.append((path, scene, kind, processing))
    for path, scene, kind, processing in found:
        mask = scenes.get((path.parent, scene)) if kind == "F" else None
        yield _sample(
            path,
            "copymove" if kind == "F" else "authentic",
            group=scene,
            mask=mask.as_posix() if mask else None,
            extra={"processing": processing} if processing else {},
        )


EDITED = tuple(
    Layout(name, title, tree, Question.EDITED.value, read)
    for name, title, tree, read in (
        (
            "casia",
            "CASIA v1 and v2 (2009, 2013)",
            "Au/Au_*, Tp/Tp_* or Sp/Sp_*, groundtruth/*_gt.png",
            _casia,
        ),
        (
            "columbia",
            "Columbia Uncompressed (2006)",
            "4cam_auth/*.tif, 4cam_splc/*.tif, 4cam_splc/edgemask/*_edgemask.jpg",
            _columbia,
        ),
        ("coverage", "COVERAGE (2016)", "image/1.tif, image/1t.tif, mask/1forged.tif", _coverage),
        (
            "nist16",
            "NIST Nimble 2016",
            "probe/*, reference/manipulation/NC2016-manipulation-ref.csv",
            _nist16,
        ),
        ("imd2020", "IMD2020 real-life", "ID/NAME_orig.jpg, ID/NAME_0.jpg, ID/NAME_0_mask.png",
         _imd2020),
        ("comofod", "CoMoFoD (2013)", "001_O.png, 001_F.png, 001_B.png, 001_M.png", _comofod),
    )
)  # fmt: skip
