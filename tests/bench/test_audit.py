from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from skimage import data as photographs

from bonafide.bench import cues
from bonafide.bench.audit import audit, forest_scores
from bonafide.bench.manifest import Manifest
from bonafide.bench.metrics import roc_auc
from bonafide.bench.protocol import load_protocol
from bonafide.bench.samples import Fold, Sample
from bonafide.signals import phash


def scene(seed: int, side: int = 128) -> Pillow.Image:
    """A picture of its own for each seed, with structure at all scales."""
    random = np.random.default_rng(seed)
    layers = [
        np.asarray(
            Pillow.fromarray(random.integers(0, 256, (n, n, 3), np.uint8)).resize((side, side)),
            np.float64,
        )
        for n in (3, 6, 12, 40)
    ]
    return Pillow.fromarray(np.mean(layers, axis=0).astype(np.uint8))


def saved(path: Path, picture: Pillow.Image, **options: object) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, **options)
    return path.name


def sample(path: str, positive: bool, **fields: str) -> Sample:
    return Sample(path, "generated" if positive else "bona_fide", positive, **fields)  # type: ignore[arg-type]


class TestCueTest:
    def test_format_that_follows_the_class_is_found_and_said(self, tmp_path: Path) -> None:
        samples = []
        for number in range(60):
            positive = number % 2 == 0
            kind = "png" if positive else "jpg"
            name = saved(tmp_path / f"{number}.{kind}", scene(number, 64))
            samples.append(sample(name, positive, group=f"g{number // 4}"))
        found = audit(Manifest(tuple(samples), tmp_path))
        for test in found.cue_tests:
            assert test.random.value > 0.99
            assert test.grouped is not None
            assert test.grouped.value > 0.99
        assert found.single_cues["is PNG"] == 1.0
        assert found.balance["format"] == {"JPEG": (30, 0), "PNG": (0, 30)}
        assert "Without any pixel" in found.warnings[0]
        assert "in groups never seen, too" in found.warnings[1]
        assert any("All 30 files of format PNG are positive" in text for text in found.warnings)

    def test_files_alike_in_all_but_content_are_quiet(self, tmp_path: Path) -> None:
        samples = []
        for number in range(80):
            name = saved(tmp_path / f"{number}.jpg", scene(number, 64), quality=90)
            samples.append(sample(name, number % 2 == 0, group=f"g{number // 2}"))
        found = audit(Manifest(tuple(samples), tmp_path))
        for test in found.cue_tests:
            assert test.random.low < 0.6
        assert found.warnings == ()

    def test_a_cue_of_each_collection_is_worthless_across(self, tmp_path: Path) -> None:
        samples = []
        classes = np.random.default_rng(0).permutation(24) < 12
        for group in range(24):
            # Every collection has a width of its own, and a class; the two are not related.
            for number in range(6):
                name = f"{group}-{number}.png"
                picture = Pillow.new("RGB", (40 + group, 40), (group, number, 9))
                saved(tmp_path / name, picture)
                samples.append(sample(name, bool(classes[group]), group=f"g{group}"))
        test = audit(Manifest(tuple(samples), tmp_path)).cue_tests[0]
        assert test.random.value > 0.9
        assert test.grouped is not None
        assert test.grouped.value < 0.75

    def test_normalising_takes_the_cue_away(self, tmp_path: Path) -> None:
        samples = []
        for number in range(40):
            positive = number % 2 == 0
            picture = scene(number, 96 if positive else 80)
            name = saved(tmp_path / f"{number}.{'png' if positive else 'jpg'}", picture)
            samples.append(sample(name, positive))
        manifest = Manifest(tuple(samples), tmp_path)
        assert audit(manifest).cue_tests[0].random.value > 0.99
        normalised = audit(manifest, degradation="normalise:64")
        assert normalised.single_cues.get("width", 0.5) == 0.5
        assert set(normalised.balance["format"]) == {"JPEG"}

    def test_too_few_files_are_not_tested(self, tmp_path: Path) -> None:
        samples = [
            sample(saved(tmp_path / f"{n}.png", scene(n)), n == 0, group=str(n)) for n in range(4)
        ]
        found = audit(Manifest(tuple(samples), tmp_path))
        assert found.cue_tests == ()
        assert found.single_cues == {} or max(found.single_cues.values()) <= 1
        json.dumps(found.to_dict(), allow_nan=False)


class TestTwins:
    def leaky(self, folder: Path) -> Manifest:
        samples = []
        for number in range(20):
            split = "test" if number < 10 else "train"
            saved(folder / split / f"{number}.png", scene(number, 160))
            samples.append(sample(f"{split}/{number}.png", number % 2 == 0, split=split))
        again = Pillow.open(folder / "test" / "3.png").resize((100, 90), Pillow.Resampling.BICUBIC)
        saved(folder / "train" / "innocent.jpg", again, quality=60)
        samples.append(sample("train/innocent.jpg", False, split="train"))
        return Manifest(tuple(samples), folder)

    def test_a_test_picture_saved_again_into_train_is_caught(self, tmp_path: Path) -> None:
        found = audit(self.leaky(tmp_path))
        (twins,) = found.twins
        assert set(twins.paths) == {"test/3.png", "train/innocent.jpg"}
        assert twins.leaks == ("test/3.png",)
        assert twins.splits == ("test", "train")
        assert not twins.exact
        assert not twins.opposite
        assert found.warnings[0].startswith("1 tested file shows the same picture")
        assert "test/3.png" in found.warnings[0]

    def test_folds_decide_what_is_a_leak(self, tmp_path: Path) -> None:
        manifest = self.leaky(tmp_path)
        everything = tuple(range(len(manifest.samples)))
        (twins,) = audit(manifest, [Fold("all", (), everything)]).twins
        assert twins.leaks == ()
        halves = [
            Fold("a", everything[:10], everything[10:]),
            Fold("b", everything[10:], everything[:10]),
        ]
        (twins,) = audit(manifest, halves).twins
        assert twins.leaks == ("test/3.png", "train/innocent.jpg")

    def test_one_picture_with_both_labels(self, tmp_path: Path) -> None:
        for name in ("a.png", "b.png"):
            saved(tmp_path / name, scene(1))
        pair = (sample("a.png", True, group="x"), sample("b.png", False, group="y"))
        found = audit(Manifest(pair, tmp_path))
        (twins,) = found.twins
        assert twins.exact
        assert twins.opposite
        assert any("both labels" in text for text in found.warnings)
        assert any("more than one group" in text for text in found.warnings)

    def test_flat_pictures_are_not_all_the_same_picture(self, tmp_path: Path) -> None:
        names = []
        for level in range(3):
            picture = Pillow.new("RGB", (64, 64), (level * 100,) * 3)
            names.append(saved(tmp_path / f"{level}.png", picture))
        found = audit(Manifest(tuple(sample(name, True) for name in names), tmp_path))
        assert found.twins == ()


def test_videos_are_compared_by_their_first_frame(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    for name, codec, seed in (("a.mp4", "mpeg4", 1), ("b.mov", "mpeg4", 1), ("c.mp4", "mpeg4", 2)):
        with av.open(str(tmp_path / name), "w") as output:
            stream = output.add_stream(codec, rate=10)
            stream.width, stream.height, stream.pix_fmt = 128, 128, "yuv420p"
            for _ in range(3):
                frame = av.VideoFrame.from_ndarray(np.asarray(scene(seed)), format="rgb24")
                output.mux(stream.encode(frame))
            output.mux(stream.encode())
    found = audit(
        Manifest(tuple(sample(name, True) for name in ("a.mp4", "b.mov", "c.mp4")), tmp_path)
    )
    assert found.unreadable == {}
    assert [twins.paths for twins in found.twins] == [("a.mp4", "b.mov")]
    assert found.balance["format"]["MP4"] == (0, 2)


def test_what_cannot_be_read_is_listed_and_stops_nothing(tmp_path: Path) -> None:
    good = saved(tmp_path / "good.png", scene(1))
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing more")
    samples = (sample(good, True), sample("bad.png", False), sample("absent.png", False))
    counted: list[int] = []
    found = audit(Manifest(samples, tmp_path), progress=counted.append)
    assert set(found.unreadable) == {"bad.png", "absent.png"}
    assert any(text.startswith("2 files of 3 cannot be read") for text in found.warnings)
    assert counted == [1, 2, 3]


def test_few_groups_are_said_and_files_without_a_group_count_for_themselves(
    tmp_path: Path,
) -> None:
    samples = []
    for number in range(24):
        positive = number % 2 == 0
        name = saved(tmp_path / f"{number}.jpg", scene(number, 64))
        samples.append(sample(name, positive, group="one" if positive else ""))
    found = audit(Manifest(tuple(samples), tmp_path))
    assert [text for text in found.warnings if "come from" in text] == [
        "Positive files come from 1 group: intervals over groups are too narrow."
    ]


def test_processes_and_repetition_change_nothing(tmp_path: Path) -> None:
    samples = [
        sample(saved(tmp_path / f"{n}.png", scene(n, 40 + n % 7)), n % 3 == 0, group=str(n % 9))
        for n in range(40)
    ]
    manifest = Manifest(tuple(samples), tmp_path)
    assert audit(manifest, jobs=1).to_dict() == audit(manifest, jobs=2).to_dict()


def test_the_labelled_table(data: Path) -> None:
    from bonafide.bench.manifest import load

    protocol = load_protocol("generated-native")
    manifest = load(data / "generated_images.csv", protocol)
    found = audit(manifest, protocol.folds(manifest.samples))
    size, everything = found.cue_tests
    assert 0.87 < size.random.low < size.random.value < size.random.high < 0.96
    assert 0.9 < everything.random.value < 0.98
    for test in (size, everything):
        assert test.grouped is not None
        assert test.grouped.low < 0.5 < test.grouped.high
        assert 0.35 < test.grouped.value < 0.65
    assert "Without any pixel" in found.warnings[0]
    assert "includes chance" in found.warnings[1]
    assert found.twins == ()


class TestHash:
    @pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "rocket", "camera"])
    @pytest.mark.parametrize("options", [(0.5, 30), (0.8, 75), (1.5, 90)])
    def test_survives_size_and_quality(self, name: str, options: tuple[float, int]) -> None:
        picture = Pillow.fromarray(getattr(photographs, name)()).convert("RGB")
        size = (int(picture.width * options[0]), int(picture.height * options[0] * 0.97))
        stream = io.BytesIO()
        picture.resize(size).save(stream, "JPEG", quality=options[1])
        first = phash.thumbnail(np.asarray(picture.convert("L")))
        again = Pillow.open(io.BytesIO(stream.getvalue())).convert("L")
        second = phash.thumbnail(np.asarray(again))
        one, two = phash.phash(first), phash.phash(second)
        assert one is not None
        assert two is not None
        assert phash.distance(one, two) <= phash.DISTANCE
        assert phash.alike(first, second) >= phash.LIKENESS

    def test_different_pictures_are_far_apart(self) -> None:
        hashes = [
            phash.phash(phash.thumbnail(np.asarray(scene(n).convert("L")))) for n in range(50)
        ]
        known = [value for value in hashes if value is not None]
        assert len(known) == 50
        distances = [phash.distance(a, b) for a in known for b in known if a != b]
        assert min(distances) > phash.DISTANCE

    def test_exif_orientation_is_undone(self, tmp_path: Path) -> None:
        picture = scene(5, 300)
        exif = Pillow.Exif()
        exif[0x0112] = 6
        saved(tmp_path / "up.jpg", picture)
        turned = picture.transpose(Pillow.Transpose.ROTATE_90)
        saved(tmp_path / "turned.jpg", turned, exif=exif)
        one, two = (cues.read_cues(cues.Task(str(tmp_path / f"{n}.jpg"))) for n in ("up", "turned"))
        assert one.phash is not None
        assert two.phash is not None
        assert phash.distance(one.phash, two.phash) <= 2

    @given(
        st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=30, unique=True),
        st.lists(
            st.tuples(st.integers(0, 29), st.sets(st.integers(0, 63), max_size=8)), max_size=30
        ),
        st.integers(0, 6),
    )
    def test_the_search_finds_what_comparing_all_pairs_finds(
        self, values: list[int], flips: list[tuple[int, set[int]]], at_most: int
    ) -> None:
        for index, bits in flips:
            changed = values[index % len(values)]
            for bit in bits:
                changed ^= 1 << bit
            values.append(changed)
        values = list(dict.fromkeys(values))
        found = {tuple(pair) for pair in phash.near_pairs(np.array(values, np.uint64), at_most)}
        expected = {
            (i, j)
            for i in range(len(values))
            for j in range(i + 1, len(values))
            if phash.distance(values[i], values[j]) <= at_most
        }
        assert found == expected

    def test_many_hashes_that_share_bytes(self) -> None:
        random = np.random.default_rng(0)
        alike = np.unique(random.integers(0, 2**13, 800, dtype=np.uint64))
        found = phash.near_pairs(alike, 1)
        expected = sum(
            int(one ^ two).bit_count() == 1
            for index, one in enumerate(alike.tolist())
            for two in alike.tolist()[index + 1 :]
        )
        assert len(found) == expected

    def test_larger_distances_are_refused(self) -> None:
        with pytest.raises(ValueError, match="up to 6"):
            phash.near_pairs(np.array([1, 2], np.uint64), 7)


class TestForest:
    def folds(self, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
        return [
            (np.flatnonzero(np.arange(count) % 5 != k), np.flatnonzero(np.arange(count) % 5 == k))
            for k in range(5)
        ]

    def test_learns_an_interaction_that_no_single_column_shows(self) -> None:
        random = np.random.default_rng(0)
        features = random.normal(size=(1000, 4))
        truth = (features[:, 0] > 0) ^ (features[:, 1] > 0)
        scores = forest_scores(features, truth, self.folds(1000))
        assert roc_auc(truth, scores) > 0.9
        assert abs(roc_auc(truth, features[:, 0]) - 0.5) < 0.1

    def test_noise_is_chance(self) -> None:
        random = np.random.default_rng(1)
        features = random.normal(size=(800, 6))
        truth = random.random(800) < 0.2
        assert abs(roc_auc(truth, forest_scores(features, truth, self.folds(800))) - 0.5) < 0.1

    def test_a_fold_without_a_class_says_nothing(self) -> None:
        truth = np.array([True] * 5 + [False] * 5)
        grow, score = np.arange(5), np.arange(5, 10)
        scores = forest_scores(np.zeros((10, 1)), truth, [(grow, score)])
        assert np.isnan(scores[:5]).all()
        assert (scores[5:] == 0.5).all()

    @settings(max_examples=2, deadline=None)
    @given(st.integers(0, 2**32 - 1))
    def test_scores_are_shares_and_repeatable(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        features = random.integers(0, 3, (40, 3)).astype(np.float64)
        truth = random.random(40) < 0.5
        truth[:6] = [True, False] * 3
        one, two = (forest_scores(features, truth, self.folds(40), 3) for _ in range(2))
        assert np.array_equal(one, two)
        assert ((one >= 0) & (one <= 1)).all()
