from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonafide.bench import degrade, splits
from bonafide.bench.protocol import Protocol, load_protocol, names, parse
from bonafide.bench.samples import Fold, Sample
from bonafide.errors import InvalidInput
from bonafide.types import Question

LEAST: dict[str, Any] = {"name": "p", "labels": {"positive": "fake", "negative": ["real"]}}


def samples(*rows: tuple[bool, str, str]) -> list[Sample]:
    """Samples from (positive, group, generator)."""
    return [
        Sample(f"{n}.jpg", "fake" if positive else "real", positive, "", group, generator)
        for n, (positive, group, generator) in enumerate(rows)
    ]


many = st.lists(
    st.tuples(
        st.booleans(),
        st.sampled_from(["", "a", "b", "c", "d", "e"]),
        st.sampled_from(["", "x", "y", "z"]),
    ),
    min_size=1,
    max_size=40,
)


def check(found: list[Fold], given_samples: list[Sample], everything: bool = True) -> None:
    tested = Counter(index for fold in found for index in fold.test)
    assert set(tested.values()) <= {1}
    if everything:
        assert set(tested) == set(range(len(given_samples)))
    for fold in found:
        assert not set(fold.test) & set(fold.calibrate)
        inside = {given_samples[index].cluster for index in fold.test}
        assert inside.isdisjoint(given_samples[index].cluster for index in fold.calibrate)


class TestShipped:
    @pytest.mark.parametrize("name", names())
    def test_each_can_be_read_and_run(self, name: str) -> None:
        protocol = load_protocol(name)
        assert protocol.name == name
        assert protocol.description
        assert protocol.question in set(Question)
        assert [degrade.GRAMMAR.canonical(one) for one in protocol.degradations] == list(
            protocol.degradations
        )
        assert len(protocol.sha256) == 64

    def test_all_that_are_promised_are_there(self) -> None:
        assert set(names()) == {
            "edited",
            "edited-jpeg80",
            "edited-resized",
            "face-frames",
            "generated-native",
            "generated-ladder",
            "generated-normalised",
            "generated-robust",
            "in-the-wild",
            "leave-one-generator-out",
            "mico-leave-one-out",
            "mico-limited-source",
            "temporal",
            "train-on-a-test-on-b",
            "voices",
        }

    def test_an_unknown_name_lists_them(self) -> None:
        with pytest.raises(InvalidInput, match="generated-normalised, generated-robust"):
            load_protocol("absent")


class TestParse:
    def test_the_least_protocol(self) -> None:
        protocol = parse(LEAST)
        assert protocol.split.kind == "none"
        assert protocol.degradations == ("native",)
        assert protocol.is_positive("fake") is True
        assert protocol.is_positive("real") is False
        assert protocol.is_positive("other") is None

    def test_a_named_label_goes_before_a_star(self) -> None:
        protocol = parse({"name": "p", "labels": {"positive": "*", "negative": "real"}})
        assert protocol.is_positive("real") is False
        assert protocol.is_positive("anything") is True

    def test_a_file_of_ones_own(self, tmp_path: Path) -> None:
        file = tmp_path / "mine.yaml"
        file.write_text(
            "name: mine\nlabels: {positive: 1, negative: 0}\n"
            "split: {kind: temporal, cut: 2023-01-01, dates: {x: 2022}}\n"
        )
        protocol = load_protocol(file)
        assert protocol.positive == ("1",)
        assert protocol.split.cut == "2023-01-01"
        assert protocol.split.dates == {"x": "2022"}

    def test_what_it_says_can_be_read_again(self) -> None:
        for name in names():
            protocol = load_protocol(name)
            assert parse(protocol.to_dict()) == protocol

    def test_the_hash_is_of_the_content(self) -> None:
        again = {"labels": {"negative": "real", "positive": ["fake"]}, "name": "p"}
        assert parse(LEAST).sha256 == parse(again).sha256
        for change in ({"pixel": True}, {"name": "q"}, {"split": {"kind": "group_folds"}}):
            assert parse(LEAST | change).sha256 != parse(LEAST).sha256

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            ({"name": None, "metrics": []}, "no metrics"),
            ({"labels": {"positive": "x"}}, "what is negative"),
            ({"labels": {"positive": "x", "negative": "x"}}, "both"),
            ({"labels": ["x"]}, "mapping"),
            ({"question": "beauty"}, "beauty"),
            ({"split": {"kind": "magic"}}, "leave_one_out"),
            ({"split": {"kind": "group_folds", "folds": 1}}, "two folds"),
            ({"split": {"kind": "group_folds", "folds": "five"}}, "whole number"),
            ({"split": {"kind": "temporal"}}, "cut"),
            ({"split": {"kind": "temporal", "cut": "2023", "undated": "guess"}}, "leave_out"),
            ({"pool": {"how": "median"}}, "mean"),
            ({"columns": {"colour": "c"}}, "no colour"),
            ({"degradations": ["native", "native"]}, "different"),
            ({"where": {"kind": None}}, "list of values"),
            ({"min_side": -1}, "min_side"),
        ],
    )
    def test_mistakes_are_named(self, change: dict[str, Any], why: str) -> None:
        with pytest.raises(InvalidInput, match=why):
            parse(LEAST | change)

    @pytest.mark.parametrize("content", ["just text", "- a\n- b", "a: [", "", "name: p"])
    def test_files_that_are_no_protocol(self, tmp_path: Path, content: str) -> None:
        file = tmp_path / "p.yaml"
        file.write_text(content)
        with pytest.raises(InvalidInput, match=r"p\.yaml"):
            load_protocol(file)


class TestSplits:
    def test_none_tests_everything_and_calibrates_on_nothing(self) -> None:
        found = parse(LEAST).folds(samples((True, "", ""), (False, "", "")))
        assert found == [Fold("all", (), (0, 1))]

    @given(many, st.integers(2, 6))
    def test_group_folds(self, rows: list[tuple[bool, str, str]], count: int) -> None:
        given_samples = samples(*rows)
        found = splits.group_folds(given_samples, count)
        check(found, given_samples)
        # Nothing but what shares a group with the test is kept from calibrating.
        for fold in found:
            assert len(fold.test) + len(fold.calibrate) == len(given_samples)

    def test_group_folds_spread_both_classes(self) -> None:
        given_samples = samples(*[(n % 3 == 0, f"g{n}", "") for n in range(90)])
        for fold in splits.group_folds(given_samples, 5):
            assert len(fold.test) == 18
            assert sum(bool(given_samples[index].positive) for index in fold.test) == 6

    @given(st.permutations(range(12)), st.integers(0, 3))
    def test_the_order_of_rows_does_not_matter(self, order: list[int], seed: int) -> None:
        base = samples(*[(n % 2 == 0, f"g{n // 2}", "") for n in range(12)])
        shuffled = [base[index] for index in order]
        one, two = (
            splits.group_folds(given_samples, 3, seed) for given_samples in (base, shuffled)
        )
        assert [{base[i].path for i in fold.test} for fold in one] == [
            {shuffled[i].path for i in fold.test} for fold in two
        ]

    @given(many)
    def test_leave_one_generator_out(self, rows: list[tuple[bool, str, str]]) -> None:
        given_samples = samples(*rows)
        makers = {one.generator for one in given_samples if one.positive and one.generator}
        if len(makers) < 2:
            with pytest.raises(InvalidInput, match="fewer than two"):
                splits.leave_one_out(given_samples, "generator")
            return
        found = splits.leave_one_out(given_samples, "generator")
        check(found, given_samples)
        assert [fold.name for fold in found] == sorted(makers)
        for fold in found:
            calibrating = {
                given_samples[i].generator for i in fold.calibrate if given_samples[i].positive
            }
            assert fold.name not in calibrating

    def test_leave_one_group_out(self) -> None:
        given_samples = samples((True, "a", ""), (False, "a", ""), (True, "b", ""), (False, "", ""))
        found = splits.leave_one_out(given_samples, "group")
        check(found, given_samples)
        assert sorted(len(fold.test) for fold in found) == [1, 1, 2]

    def test_the_split_of_the_authors(self) -> None:
        given_samples = [
            Sample("a", "real", False, split="train"),
            Sample("b", "fake", True, split="test"),
            Sample("c", "fake", True, split="elsewhere"),
        ]
        protocol = parse(LEAST | {"split": {"kind": "column", "by": "split"}})
        # Files for training never choose a threshold unless the protocol says so.
        assert protocol.folds(given_samples) == [Fold("test", (), (1,), (0,))]
        wanted = parse(LEAST | {"split": {"kind": "column", "by": "split", "calibrate": "train"}})
        assert wanted.folds(given_samples) == [Fold("test", (0,), (1,), (0,))]
        with pytest.raises(InvalidInput, match="apart for testing"):
            protocol.folds(given_samples[:1])

    def test_from_one_generator_to_the_others(self) -> None:
        given_samples = samples(
            (True, "", "x"), (True, "", "y"), (True, "", ""), *[(False, "", "")] * 10
        )
        split = {"kind": "a_to_b", "by": "generator", "calibrate": "x", "test": "*"}
        (fold,) = parse(LEAST | {"split": split}).folds(given_samples)
        assert 0 in fold.calibrate
        assert {1, 2} <= set(fold.test)
        assert len(fold.calibrate) == 6
        check([fold], given_samples, everything=False)

    def test_from_one_set_to_another(self) -> None:
        given_samples = [
            Sample(f"{n}", "x", n % 2 == 0, group=group, extra={"set": name})
            for n, (name, group) in enumerate(
                [("A", "1"), ("A", "2"), ("B", "2"), ("B", "3"), ("C", "4")]
            )
        ]
        (fold,) = splits.a_to_b(given_samples, "set", ("A",), ("B",))
        assert fold == Fold("test", (0,), (2, 3))  # 1 shares its group with 2

    def test_sides_that_hold_nothing_are_refused(self) -> None:
        given_samples = samples((True, "", "x"), (False, "", ""))
        with pytest.raises(InvalidInput, match="no sample has generator nobody"):
            splits.a_to_b(given_samples, "generator", ("nobody",), ("*",))
        with pytest.raises(InvalidInput, match="one side"):
            splits.a_to_b(given_samples, "generator", ("*",), ("*",))

    def test_time(self) -> None:
        given_samples = samples(
            (True, "", "StyleGAN2 (faces)"),
            (True, "", "StyleGAN by hand"),
            (True, "", "dall-e-3"),
            *[(False, "", "")] * 4,
        )
        dates = {"StyleGAN": "2018", "StyleGAN2": "2019-12", "DALL-E 3": "2023-09-20"}
        (fold,) = splits.temporal(given_samples, "2019-06", dates)
        assert {0, 2} <= set(fold.test)
        assert 1 in fold.calibrate
        assert len(fold.test) == 4
        check([fold], given_samples, everything=False)

    def test_positives_without_a_date(self) -> None:
        given_samples = samples((True, "", "known"), (True, "", "who"), (False, "", ""))
        dates = {"known": "2024"}
        with pytest.raises(InvalidInput, match="who"):
            splits.temporal(given_samples, "2023", dates)
        (fold,) = splits.temporal(given_samples, "2023", dates, refuse=False)
        assert 1 not in fold.test + fold.calibrate

    def test_a_date_of_its_own_goes_first(self) -> None:
        given_samples = [
            Sample("a", "fake", True, generator="known", date="2025-01"),
            Sample("b", "real", False),
            Sample("c", "real", False),
        ]
        (fold,) = splits.temporal(given_samples, "2024", {"known": "2020"})
        assert 0 in fold.test


def test_a_protocol_can_be_made_without_a_file() -> None:
    protocol = Protocol("mine", positive=("yes",), negative=("no",))
    assert parse(protocol.to_dict()) == protocol
