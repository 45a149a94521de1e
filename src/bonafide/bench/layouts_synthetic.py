"""Layouts of sets that ask whether a picture or video was made by a generator."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from bonafide.bench.samples import Sample
from bonafide.bench.tree import (
    FAKE,
    PICTURES,
    REAL,
    SPLITS,
    VIDEOS,
    Layout,
    files,
    find,
    folders_of,
    real_or_fake,
    split_of,
)
from bonafide.errors import InvalidInput, MissingExtra
from bonafide.files import atomic_write
from bonafide.types import Question

# The LSUN classes that ProGAN was trained on; ForenSynths trains on them without naming ProGAN.
_LSUN = frozenset(
    ("airplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
     "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
     "tvmonitor")
)  # fmt: skip


def _sample(path: PurePosixPath, fake: bool, **fields: Any) -> Sample:
    if not fake:
        fields.pop("generator", None)
    return Sample(
        path=path.as_posix(),
        label="generated" if fake else "bona_fide",
        question=Question.SYNTHETIC.value,
        **fields,
    )


def _genimage(folder: Path) -> Iterator[Sample]:
    # <generator>/[imagenet_ai_…/]{train,val}/{ai,nature}/*; the part called val is what papers
    # test on. The natural pictures of all generators come from ImageNet.
    for path in files(folder):
        parts = folders_of(path)
        fake = real_or_fake(parts)
        if fake is not None and split_of(parts):
            split = "train" if split_of(parts) == "train" else "test"
            name = parts[0] if parts[0].lower() not in SPLITS else folder.name
            yield _sample(path, fake, generator=name, group=name, split=split)


def _by_generator(folder: Path) -> Iterator[Sample]:
    # [{train,val,test}/]<generator>/[<class>/]{0_real,1_fake}/*: ForenSynths as CNNDetection ships
    # it, UniversalFakeDetect's diffusion sets, and AIGCDetectBenchmark, which extends both.
    # Training folders name the LSUN class only, or "progan_train"; they are ProGAN's. Folders of
    # real pictures alone (laion, imagenet) keep their name as group.
    for path in files(folder):
        parts = folders_of(path)
        fake = real_or_fake(parts)
        if fake is None:
            continue
        label = max(find(parts, FAKE), find(parts, REAL))
        # "train" is also one of the classes: only the outermost folder can be a part.
        outer = parts[0].lower() in SPLITS
        split = SPLITS[parts[0].lower()] if outer else ""
        inner = parts[int(outer) : label]
        name = inner[0] if inner else folder.name
        if name.lower().startswith("progan_"):
            split = split or SPLITS.get(name.lower().removeprefix("progan_"), "")
            name = "progan"
        if name.lower() in _LSUN:
            name = "progan"
        kind = "/".join(inner[1:])
        extra = {"class": kind} if kind else {}
        yield _sample(path, fake, generator=name, group=name, split=split, extra=extra)


def _chameleon(folder: Path) -> Iterator[Sample]:
    # test/{0_real,1_fake}/*: collected from the web, generators unknown.
    for path in files(folder):
        fake = real_or_fake(folders_of(path))
        if fake is not None:
            yield _sample(path, fake, split="test")


def _wildrf(folder: Path) -> Iterator[Sample]:
    # {train,val}/{0_real,1_fake}/*, from Reddit; test/{reddit,twitter,facebook}/{0_real,1_fake}/*.
    for path in files(folder):
        parts = folders_of(path)
        fake = real_or_fake(parts)
        if fake is None:
            continue
        named = find(parts, ("reddit", "twitter", "facebook"))
        platform = parts[named].lower() if named >= 0 else "reddit"
        extra = {"platform": platform}
        yield _sample(path, fake, group=platform, split=split_of(parts), extra=extra)


def _synthbuster(folder: Path) -> Iterator[Sample]:
    # <generator>/<RAISE name>.png for nine generators. The real pictures, RAISE-1k, are had from
    # their own site; any folder named after RAISE, or real, is taken for them. A generated picture
    # describes the photograph of its name, so they form a group.
    for path in files(folder):
        parts = folders_of(path)
        if not parts:
            continue
        name = parts[-1]
        real = any("raise" in part.lower() or part.lower() in REAL for part in parts)
        yield _sample(path, not real, generator=name, group=path.stem.split("_")[0], split="test")


def _drct(folder: Path) -> Iterator[Sample]:
    # <generator>/{train2017,val2017}/*, and MSCOCO beside it for the real pictures. DR/… holds
    # reconstructions. Everything is named after the COCO picture that it came from.
    for path in files(folder):
        parts = folders_of(path)
        at = find(parts, ("train2017", "val2017"))
        if at < 1:
            continue
        names = [part for part in parts[:at] if part.upper() not in ("DRCT-2M", "DR")]
        real = any("coco" in part.lower() for part in names)
        number = re.search(r"\d{6,12}", path.stem)
        group = number.group(0).lstrip("0") if number else path.stem
        yield _sample(path, not real, generator="/".join(names), group=group, split=split_of(parts))


def _community_forensics(folder: Path) -> Iterator[Sample]:
    # data/<part>/*.parquet with columns image_name, image_data (bytes of the file), model_name,
    # label, real_source. A manifest names files, so the bytes are written, unchanged, to
    # `unpacked/` inside the folder; what lies there already is not written again.
    try:
        from pyarrow import parquet
    except ImportError:
        raise MissingExtra("bench", "reading Parquet") from None
    for table in files(folder, {".parquet"}):
        try:
            reader = parquet.ParquetFile(folder / table)
            present = set(reader.schema_arrow.names)
        except (OSError, ValueError) as error:
            raise InvalidInput(f"{folder / table} cannot be read: {error}") from None
        if not {"image_data", "image_name"} <= present:
            continue
        wanted = {"image_name", "image_data", "model_name", "label", "real_source", "architecture"}
        number = 0
        for batch in reader.iter_batches(64, columns=sorted(wanted & present)):
            for row in batch.to_pylist():
                # The number keeps equal names apart; only the ending of the name is trusted.
                suffix = PurePosixPath(str(row["image_name"])).suffix.lower()
                ending = suffix if suffix in PICTURES else ".png"
                place = PurePosixPath("unpacked", table.with_suffix(""), f"{number:07}{ending}")
                number += 1
                _write(folder / place, row["image_data"])
                yield _community_sample(place, table, row)


def _community_sample(place: PurePosixPath, table: PurePosixPath, row: dict[str, Any]) -> Sample:
    label = str(row.get("label", "")).lower()
    source = str(row.get("real_source") or "")
    model = str(row.get("model_name") or "")
    fake = label in ("1", "fake", "generated", "true") if label not in ("", "none") else not source
    part = table.parts[-2] if len(table.parts) > 1 else ""
    extra = {"part": part, "architecture": str(row.get("architecture") or "")}
    return _sample(
        place,
        fake,
        generator=model,
        group=model if fake else source or model,
        split="test" if "eval" in part.lower() else "train",
        extra={name: value for name, value in extra.items() if value},
    )


def _write(file: Path, data: bytes) -> None:
    if file.is_file() and file.stat().st_size == len(data):
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(file) as partial:
        partial.write_bytes(data)


def _genvideo(folder: Path) -> Iterator[Sample]:
    # {train,val,test}/{Real,Fake}/<source>/**/*.mp4, or the sources at the top; the real ones are
    # Kinetics-400, Youku-mPLUG and MSR-VTT.
    for path in files(folder, VIDEOS | {".gif"}):
        parts = folders_of(path)
        real_source = any(re.search(r"kinetics|youku|msr-?_?vtt", part.lower()) for part in parts)
        fake = False if real_source else real_or_fake(parts)
        label = max(find(parts, FAKE), find(parts, REAL))
        outer = [part for part in parts[label + 1 :] if part.lower() not in SPLITS]
        if not outer:
            continue
        split = next((SPLITS[part.lower()] for part in parts if part.lower() in SPLITS), "")
        split = "test" if split == "calibrate" else split
        yield _sample(path, fake is not False, generator=outer[0], group=outer[0], split=split)


def _plain(folder: Path) -> Iterator[Sample]:
    # [{train,val,test}/]{real,fake}/[<source>/]*, pictures or videos, under any of the usual names
    # for the two; the folder below is the generator of fakes, and the group.
    for path in files(folder, PICTURES | VIDEOS):
        parts = folders_of(path)
        fake = real_or_fake(parts)
        if fake is None:
            continue
        label = max(find(parts, FAKE), find(parts, REAL))
        named = [part for part in parts if part.lower() not in SPLITS]
        inner = parts[label + 1 :]
        source = inner[0] if inner else ("" if len(named) < 2 else named[0])
        yield _sample(path, fake, generator=source, group=source, split=split_of(parts))


SYNTHETIC = tuple(
    Layout(name, title, tree, Question.SYNTHETIC.value, read)
    for name, title, tree, read in (
        (
            "genimage",
            "GenImage (2023)",
            "GENERATOR/{train,val}/{ai,nature}/*",
            _genimage,
        ),
        (
            "forensynths",
            "ForenSynths, also called CNNDetection (2020)",
            "[{train,val,test}/]GENERATOR/[CLASS/]{0_real,1_fake}/*",
            _by_generator,
        ),
        (
            "universalfakedetect",
            "UniversalFakeDetect's diffusion sets (2023)",
            "GENERATOR/{0_real,1_fake}/*",
            _by_generator,
        ),
        (
            "aigcdetectbenchmark",
            "AIGCDetectBenchmark (2023)",
            "test/GENERATOR/[CLASS/]{0_real,1_fake}/*",
            _by_generator,
        ),
        ("chameleon", "Chameleon (2024)", "test/{0_real,1_fake}/*", _chameleon),
        (
            "wildrf",
            "WildRF (2024)",
            "{train,val}/{0_real,1_fake}/*, test/PLATFORM/{0_real,1_fake}/*",
            _wildrf,
        ),
        (
            "synthbuster",
            "Synthbuster (2023) with RAISE-1k",
            "GENERATOR/*.png, RAISE-1k/*",
            _synthbuster,
        ),
        (
            "drct2m",
            "DRCT-2M (2024) with MSCOCO",
            "GENERATOR/{train2017,val2017}/*, MSCOCO/{train2017,val2017}/*",
            _drct,
        ),
        (
            "communityforensics",
            "Community Forensics (2025), whose Parquet is unpacked to unpacked/",
            "data/PART/*.parquet",
            _community_forensics,
        ),
        (
            "genvideo",
            "GenVideo (2024)",
            "[{train,val}/][{Real,Fake}/]SOURCE/*.mp4",
            _genvideo,
        ),
        (
            "plain",
            "two folders",
            "[{train,val,test}/]{real,fake}/[SOURCE/]*",
            _plain,
        ),
    )
)
