from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from bonafide.bench.manifest import load, read_table, select, write_manifest
from bonafide.bench.protocol import Protocol, load_protocol
from bonafide.bench.samples import Sample
from bonafide.errors import InvalidInput

ANY = Protocol("any", positive=("fake",), negative=("real",))
EDITED = Protocol("edited", question="edited", positive=("splice", "copymove"), negative=("ok",))


def rows(*pairs: tuple[str, str], **more: str) -> list[dict[str, str]]:
    return [{"path": path, "label": label, **more} for path, label in pairs]


def write(path: Path, content: list[dict[str, str]]) -> Path:
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(content[0]))
        writer.writeheader()
        writer.writerows(content)
    return path


class TestSelect:
    def test_two_columns_are_enough(self, tmp_path: Path) -> None:
        file = write(tmp_path / "m.csv", rows(("a.jpg", "real"), ("b/c.jpg", "fake")))
        manifest = load(file, ANY)
        assert [(one.path, one.positive) for one in manifest.samples] == [
            ("a.jpg", False),
            ("b/c.jpg", True),
        ]
        assert manifest.file(manifest.samples[1]) == tmp_path / "b" / "c.jpg"
        assert manifest.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
        assert manifest.samples[0].cluster != manifest.samples[1].cluster

    def test_columns_are_named_by_the_protocol(self) -> None:
        protocol = Protocol(
            "p",
            positive=("fake",),
            negative=("real",),
            columns={"group": ("origin", "source"), "path": ("file",)},
        )
        content = [
            {"file": "a", "label": "real", "source": "s", "camera": "x"},
            {"file": "b", "label": "fake", "source": "t", "camera": ""},
        ]
        first, second = select(content, protocol).samples
        assert (first.group, first.extra) == ("s", {"camera": "x"})
        assert (second.group, second.extra) == ("t", {})
        assert first.value("camera") == "x"
        assert first.value("group") == "s"

    def test_conditions_and_other_labels_leave_rows_out(self) -> None:
        protocol = Protocol(
            "p", positive=("fake",), negative=("real",), where={"kind": ("photo",), "by": ("*",)}
        )
        content = [
            {"path": "a", "label": "real", "kind": "photo", "by": "me"},
            {"path": "b", "label": "fake", "kind": "photo", "by": "you"},
            {"path": "c", "label": "fake", "kind": "art", "by": "me"},
            {"path": "d", "label": "fake", "kind": "photo", "by": ""},
            {"path": "e", "label": "unsure", "kind": "photo", "by": "me"},
        ]
        manifest = select(content, protocol)
        assert [one.path for one in manifest.samples] == ["a", "b"]
        assert manifest.left_out == 3

    def test_a_star_is_every_label_not_named(self) -> None:
        protocol = Protocol("p", positive=("*",), negative=("real",))
        content = rows(("a", "real"), ("b", "swap"), ("c", "made"))
        assert [one.positive for one in select(content, protocol).samples] == [False, True, True]

    def test_rows_that_answer_another_question_are_left_out(self) -> None:
        content = rows(("a", "real"), ("b", "fake"), question="synthetic")
        content += rows(("c", "fake"), question="face_forged")
        assert [one.path for one in select(content, ANY).samples] == ["a", "b"]

    def test_masks_go_to_the_positives_of_their_group(self) -> None:
        content = [
            {"path": "x/1.jpg", "label": "ok", "group": "g/1"},
            {"path": "x/1_edit_a.jpg", "label": "splice", "group": "g/1"},
            {"path": "x/1_edit_b.jpg", "label": "copymove", "group": "g/1"},
            {"path": "y/1_edit_b_mask.png", "label": "mask", "group": "g/1"},
            {"path": "y/1_edit_a_mask.png", "label": "mask", "group": "g/1"},
            {"path": "x/2.jpg", "label": "splice", "group": "g/2"},
        ]
        manifest = select(content, EDITED)
        assert [one.mask for one in manifest.samples] == [
            None,
            "y/1_edit_a_mask.png",
            "y/1_edit_b_mask.png",
            None,
        ]
        assert manifest.left_out == 0
        assert manifest.mask(manifest.samples[1]) == Path("y/1_edit_a_mask.png")

    def test_masks_that_mark_in_an_unknown_way_are_refused(self) -> None:
        content = rows(("a", "ok"), ("b", "splice"), mask="m.png", mask_marks="purple")
        with pytest.raises(InvalidInput, match="white, black, green"):
            select(content, EDITED)

    def test_groups_can_be_cut_short(self) -> None:
        protocol = Protocol("p", positive=("fake",), negative=("real",), group_depth=2)
        content = rows(("a", "real"), group="set/scene") + rows(("b", "fake"), group="set/scene/7")
        assert {one.group for one in select(content, protocol).samples} == {"set/scene"}

    def test_small_pictures_are_left_out_and_unreadable_ones_are_not(self, tmp_path: Path) -> None:
        Pillow.new("RGB", (64, 300)).save(tmp_path / "small.png")
        Pillow.new("RGB", (256, 300)).save(tmp_path / "large.png")
        protocol = Protocol("p", positive=("fake",), negative=("real",), min_side=256)
        content = rows(("small.png", "real"), ("large.png", "real"), ("absent.png", "fake"))
        manifest = select(content, protocol, tmp_path)
        assert [one.path for one in manifest.samples] == ["large.png", "absent.png"]
        assert manifest.left_out == 1

    @pytest.mark.parametrize(
        ("content", "why"),
        [
            ([{"file": "a", "label": "real"}], "no column path"),
            ([{"path": "a"}], "no column label"),
            (rows(("a", "real"), ("a", "fake")), "a twice"),
            (rows(("", "real"), ("a", "fake")), "no path"),
            (rows(("a", "real")), "labelled fake"),
            (rows(("a", "fake")), "labelled real"),
        ],
    )
    def test_what_cannot_be_followed_is_said(self, content: list[dict[str, str]], why: str) -> None:
        with pytest.raises(InvalidInput, match=why):
            select(content, ANY)

    def test_a_condition_on_a_column_that_is_not_there(self) -> None:
        protocol = Protocol("p", positive=("fake",), negative=("real",), where={"kind": ("x",)})
        with pytest.raises(InvalidInput, match="kind"):
            select(rows(("a", "real"), ("b", "fake")), protocol)


class TestFiles:
    SAMPLES = (
        Sample("a,b.jpg", "real", group="ü", extra={"camera": 'A "B"'}),
        Sample("c.png", "fake", generator="g", mask="m.png", split="test", date="2024"),
    )

    @pytest.mark.parametrize("name", ["m.csv", "m.parquet"])
    def test_what_is_written_is_read(self, tmp_path: Path, name: str) -> None:
        write_manifest(tmp_path / name, self.SAMPLES)
        table = read_table(tmp_path / name)
        assert [row["path"] for row in table] == ["a,b.jpg", "c.png"]
        assert "question" not in table[0]
        assert table[0]["camera"] == 'A "B"'
        assert table[1]["camera"] == ""
        again = load(tmp_path / name, ANY).samples
        assert [one.group for one in again] == ["ü", ""]
        assert again[1].mask == "m.png"
        assert again[1].date == "2024"
        assert [path.name for path in tmp_path.iterdir()] == [name]

    def test_numbers_and_gaps_of_parquet_become_text(self, tmp_path: Path) -> None:
        import pyarrow
        from pyarrow import parquet

        content = {"path": ["a", "b"], "label": ["real", "fake"], "year": [2020, None]}
        parquet.write_table(pyarrow.table(content), tmp_path / "m.parquet")
        assert [row["year"] for row in read_table(tmp_path / "m.parquet")] == ["2020", ""]

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("empty.csv", b""),
            ("header.csv", b"path,label\n"),
            ("long.csv", b"path,label\na,b,c\n"),
            ("binary.csv", b"\xff\xfe\x00\x80\x81"),
            ("broken.parquet", b"PAR1 not really"),
        ],
    )
    def test_damaged_manifests_are_named(self, tmp_path: Path, name: str, content: bytes) -> None:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InvalidInput, match=name):
            read_table(tmp_path / name)

    def test_a_manifest_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidInput, match=r"absent\.csv"):
            read_table(tmp_path / "absent.csv")

    @given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1)))
    def test_any_text_survives(self, values: list[str]) -> None:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "m.csv"
            samples = [Sample(str(n), "x", extra={"note": v}) for n, v in enumerate(values)]
            write_manifest(file, samples)
            if not samples:
                return
            assert [row["note"] for row in read_table(file)] == values


def test_the_labelled_tables(data: Path) -> None:
    pictures = load(data / "generated_images.csv", load_protocol("generated-native"))
    assert len(pictures.samples) == 2398
    assert sum(bool(one.positive) for one in pictures.samples) == 1219
    assert len({one.group for one in pictures.samples}) == 59
    edited = load(data / "forensic_media.csv", load_protocol("edited"))
    assert len(edited.samples) == 121
    masked = [one for one in edited.samples if one.mask]
    assert len(masked) == 35
    assert all(one.positive and edited.mask(one).is_file() for one in masked)  # type: ignore[union-attr]
