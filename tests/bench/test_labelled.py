"""Which labelled files a calibration is fitted on."""

from __future__ import annotations

from pathlib import Path

import pytest

from bonafide.bench.labelled import answers_of, read_labelled
from bonafide.errors import InvalidInput
from bonafide.types import Question


def manifest(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_labels_answer_the_questions_that_they_are_about() -> None:
    assert answers_of("generated") == {Question.SYNTHETIC: True}
    assert answers_of("splice") == {Question.EDITED: True}
    assert set(answers_of("bona_fide").values()) == {False}
    assert Question.PROVENANCE not in answers_of("real")
    assert answers_of("authentic", "edited") == {Question.EDITED: False}
    assert answers_of("tampered", "synthetic") == answers_of("mask") == {}


def test_sources_come_from_origin_source_or_group_and_edits_keep_their_photograph(
    tmp_path: Path,
) -> None:
    photos = manifest(
        tmp_path / "photos.csv",
        "path,label,origin,source,composite,generator,kind\n"
        "a/1.jpg,bona_fide,camera,blog,,,photo\na/2.jpg,generated,,shop,,FLUX,art\n"
        "a/3.jpg,generated,,shop,2x2,FLUX,art\n",
    )
    made = manifest(
        tmp_path / "made" / "manifest.csv",
        "path,label,question,group,base,kind,mask\n"
        "0.jpg,tampered,edited,blog/1.jpg,a/1.jpg,clone,0.mask.png\n"
        "1.jpg,authentic,edited,else/9.jpg,b/9.jpg,,\n2.mask.png,mask,,,,,\n",
    )
    found = {Path(one.path).parent.name + Path(one.path).name: one for one in
             read_labelled([photos, made])}  # fmt: skip
    assert {name: one.source for name, one in found.items()} == {
        "a1.jpg": "camera",
        "a2.jpg": "shop",
        "made0.jpg": "camera",
        "made1.jpg": "else",
    }
    assert found["a2.jpg"].made == "FLUX" and found["made0.jpg"].made == "clone"
    assert found["made0.jpg"].mask == str(tmp_path / "made" / "0.mask.png")
    assert found["made1.jpg"].answers == {Question.EDITED: False} and found["made1.jpg"].bona_fide


def test_rows_are_chosen_by_a_column_and_masks_by_their_group(tmp_path: Path) -> None:
    mixed = manifest(
        tmp_path / "mixed.csv",
        "path,label,kind,group\nx.jpg,real,faces,f/1\ny.jpg,splice,manipulation,set/1\n"
        "m.png,mask,manipulation,set/1\n",
    )
    (one,) = read_labelled([mixed], {"kind": "manipulation"})
    assert one.mask == str(tmp_path / "m.png") and one.source == "set"
    with pytest.raises(InvalidInput, match="has no column colour"):
        read_labelled([mixed], {"colour": "red"})


def test_no_source_brings_more_than_its_share(tmp_path: Path) -> None:
    rows = "".join(f"{n}.jpg,{'real' if n % 2 else 'fake'},o\n" for n in range(40))
    many = manifest(tmp_path / "many.csv", "path,label,origin\n" + rows)
    found = read_labelled([many], most=5)
    assert [one.bona_fide for one in found].count(True) == 5 and len(found) == 10
    assert found == read_labelled([many], most=5)


def test_a_manifest_without_a_known_label_is_an_error(tmp_path: Path) -> None:
    odd = manifest(tmp_path / "odd.csv", "path,label\na.jpg,blue\n")
    with pytest.raises(InvalidInput, match="no label of"):
        read_labelled([odd])
    with pytest.raises(InvalidInput, match="needs the columns"):
        read_labelled([manifest(tmp_path / "bare.csv", "name,label\na.jpg,real\n")])
