"""Attacks do what they say on answers that are known, and what they did is counted rightly."""

from __future__ import annotations

import csv
import itertools
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image as Pillow
from skimage import data

from bonafide.bench.attacks import autoencoder, certified, figures, localiser, patch, run
from bonafide.bench.attacks.attack import Aim, Attack, Budget, Pool, attacks, chosen
from bonafide.bench.attacks.boundary import FAR, distance
from bonafide.bench.attacks.rephotograph import photographed
from bonafide.bench.attacks.target import Answered, Goal, Spent, Target
from bonafide.cli.bench import bench
from bonafide.errors import InvalidInput
from bonafide.types import Decision, Question

ACCUSED, CLEAR = 140.0, 110.0  # mean levels from which the toy accuses, and below which it clears


def rated(pixels: np.ndarray) -> float:
    """Mean level of the top left quarter, so that many frequencies matter."""
    height, width = pixels.shape[:2]
    return float(pixels[: height // 2, : width // 2].mean())


class Toy:
    """Pictures with a bright corner are accused, dark ones are clear."""

    def __init__(self, *rest: object) -> None:
        self.queries, self.most = 0, np.inf

    def begin(self, queries: float = np.inf) -> None:
        self.queries, self.most = 0, queries

    def asked(self, pixels: np.ndarray) -> Answered | None:
        return None

    def ask(self, pixels: np.ndarray) -> Answered:
        if self.queries >= self.most:
            raise Spent
        self.queries += 1
        score = rated(pixels)
        decision = Decision.INCONCLUSIVE
        if score > ACCUSED:
            decision = Decision.ACCUSED
        elif score < CLEAR:
            decision = Decision.CLEAR
        verdict = SimpleNamespace(label=SimpleNamespace(value=decision.value))
        return Answered(decision, score, score / 255, None,
                        SimpleNamespace(edits=None, verdict=verdict))  # fmt: skip


def flat(level: int, side: int = 64) -> np.ndarray:
    noise = np.random.default_rng(level).integers(-9, 10, (side, side, 3))
    return (noise + level).astype(np.uint8)


def aim(level: int, goal: Goal) -> Aim:
    dark, bright = (flat(50), flat(60)), (flat(200), flat(210))
    wanted, alike = (dark, bright) if goal is Goal.HIDE else (bright, dark)
    return Aim(flat(level), goal, Pool(wanted, alike))


def outcome(
    attack: Attack, level: int, goal: Goal, queries: int = 40
) -> tuple[list[np.ndarray], Toy]:
    target = Toy()
    target.begin(queries)
    shown = []
    budget = Budget(queries)
    try:
        for one in attack.run(target, aim(level, goal), budget, 1.0, np.random.default_rng(0)):
            shown.append(one)  # noqa: PERF402, what it raises comes between
    except Spent:
        pass
    return shown, target


def test_there_is_a_file_for_each_attack() -> None:
    assert set(attacks()) == {
        "adaptive", "autoencoder", "boundary", "jpeg_aware", "localiser", "low_frequency",
        "patch", "rephotograph", "square",
    }  # fmt: skip
    assert all(one.title and one.paper for one in attacks().values())
    with pytest.raises(InvalidInput, match="there are: adaptive"):
        chosen(["guess"], {})


@pytest.mark.parametrize("name", ["low_frequency", "square", "adaptive"])
@pytest.mark.parametrize(("goal", "level"), [(Goal.HIDE, 143), (Goal.FRAME, 107)])
def test_searches_move_the_score_within_their_bound(name: str, goal: Goal, level: int) -> None:
    shown, target = outcome(attacks()[name], level, goal)
    scores = [goal.value * rated(one) for one in shown]
    assert len(scores) > 1 and scores == sorted(scores)
    assert target.queries == 40
    change = shown[-1].astype(int) - flat(level)
    assert np.abs(change).max() <= 8 and np.abs(change).max() > 0


def test_a_patch_shrinks_and_still_fools() -> None:
    shown, target = outcome(patch.ATTACK, 143, Goal.HIDE, 300)
    areas = [float((one != flat(143)).any(2).mean()) for one in shown]
    assert len(areas) > 2 and areas == sorted(areas, reverse=True)
    assert areas[0] <= patch.LARGEST and areas[-1] < 0.12
    target.begin()
    assert all(target.ask(one).decision is not Decision.ACCUSED for one in shown)
    large = outcome(patch.ATTACK, 240, Goal.HIDE, 300)[0]  # more than half of the corner
    assert all(float((one != flat(240)).any(2).mean()) > 0.12 for one in large)


def test_rectangles_stay_inside() -> None:
    random = np.random.default_rng(0)
    for _ in range(200):
        top, left, bottom, right = patch.within(random.integers(-50, 90, 4), 40, 60)
        assert 0 <= top < bottom <= 40 and 0 <= left < right <= 60


def test_the_boundary_is_approached_by_decisions() -> None:
    pytest.importorskip("art")
    shown, target = outcome(attacks()["boundary"], 145, Goal.HIDE, 60)
    assert len(shown) == 1 and distance(shown[0], flat(145)) <= FAR
    assert target.queries == 60
    target.begin()
    assert target.ask(shown[0]).decision is not Decision.ACCUSED
    assert outcome(attacks()["boundary"], 250, Goal.HIDE, 40)[0] == []  # too far


def test_all_components_give_the_picture_back_and_few_a_smoother_one() -> None:
    picture = np.ascontiguousarray(data.astronaut()[:61, :70])
    assert np.abs(autoencoder.reconstructed(picture, 192).astype(int) - picture).max() <= 1
    errors = [distance(autoencoder.reconstructed(picture, kept), picture) for kept in (48, 16, 6)]
    assert errors == sorted(errors) and errors[0] > 0.5
    rough = [
        np.abs(np.diff(one.astype(int), axis=1)).mean()
        for one in (picture, autoencoder.reconstructed(picture, 6))
    ]
    assert rough[1] < rough[0]


def test_a_network_of_the_users_own_launders(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper

    def write(name: str, axes: list[object]) -> Path:
        ends = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, "h", "w"]),
                helper.make_tensor_value_info("y", TensorProto.FLOAT, axes)]  # fmt: skip
        half = helper.make_tensor("half", TensorProto.FLOAT, [1], [0.5])
        node = helper.make_node("Mul", ["x", "half"], ["y"])
        if len(axes) == 3:
            half = helper.make_tensor("half", TensorProto.INT64, [1], [0])
            node = helper.make_node("Squeeze", ["x", "half"], ["y"])
        graph = helper.make_graph([node], "g", ends[:1], ends[1:], [half])
        opset = [helper.make_opsetid("", 17)]
        path = tmp_path / name
        onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
        return path

    through = autoencoder.Through.of(write("half.onnx", [1, 3, "h", "w"]))
    one = aim(100, Goal.FRAME)
    odd = replace(one, pixels=one.pixels[:50, :41])
    (shown,) = through.run(Toy(), odd, Budget(), 1.0, np.random.default_rng(0))
    assert np.abs(shown.astype(int) - odd.pixels / 2).max() <= 0.5
    wrong = autoencoder.Through.of(write("flat.onnx", [3, "h", "w"]))
    with pytest.raises(InvalidInput, match="size it takes"):
        list(wrong.run(Toy(), odd, Budget(), 1.0, np.random.default_rng(0)))


def test_a_photograph_of_a_screen_shows_the_same() -> None:
    picture = np.ascontiguousarray(data.astronaut()[:128, :128])
    once, again = (photographed(picture, 1.0, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(once, again) and once.shape == picture.shape
    assert 5 < distance(once, picture) < 60
    assert distance(photographed(picture, 2.0, np.random.default_rng(3)), picture) > distance(
        once, picture
    )


def test_an_edit_without_noise_gets_the_noise_around_it() -> None:
    random = np.random.default_rng(0)
    picture = np.clip(random.normal(120, 12, (96, 96, 3)), 0, 255).astype(np.uint8)
    mask = np.zeros((96, 96), np.bool_)
    mask[30:70, 30:70] = True
    picture[mask] = 120
    shown = localiser.concealed(picture, mask, 1.0, 0.0, 95, random)
    inner = np.zeros_like(mask)
    inner[38:62, 38:62] = True
    inside, outside = (float(shown[part].std()) for part in (inner, ~mask))
    assert 0.6 < inside / outside < 1.4 and picture[inner].std() == 0
    answered = Answered(Decision.ACCUSED, 0, 0, None, SimpleNamespace(edits=None))
    assert localiser.marked_inside(answered, mask) == 0.0


def test_no_patch_reaches_more_parts_than_is_said() -> None:
    for height, width, share in ((40, 40, 0.02), (41, 67, 0.05), (37, 90, 0.2), (64, 64, 1e-4)):
        side = int(np.ceil(np.sqrt(share * height * width)))
        number = np.zeros((height, width), int)
        rows, columns = (np.array_split(np.arange(n), certified.GRID) for n in (height, width))
        for place, (r, c) in enumerate(itertools.product(rows, columns)):
            number[np.ix_(r, c)] = place
        most = max(
            len(np.unique(number[top : top + side, left : left + side]))
            for top in range(max(1, height - side + 1))
            for left in range(max(1, width - side + 1))
        )
        assert most <= certified.reached((height, width), share)
        assert len(certified.parts(np.zeros((height, width, 3), np.uint8))) == 16


def test_what_is_certain_cannot_be_turned() -> None:
    for votes, reached in itertools.product(range(17), range(10)):
        found = certified.Certificate(votes, 16, reached)
        after = {
            certified.Certificate(changed, 16, reached).accused
            for changed in range(max(0, votes - reached), min(16, votes + reached) + 1)
        }
        assert found.certain == (after == {found.accused})


def write_set(folder: Path) -> Path:
    rows = []
    for number in range(12):
        generated = number % 2 == 0
        level = (150 if generated else 95) + number
        name = f"{number}.png"
        if number == 10:
            level = 120  # inconclusive from the start
        Pillow.fromarray(flat(level)).save(folder / name)
        label = "generated" if generated else "bona_fide"
        rows.append((name, label, f"source{number}"))
    (folder / "broken.png").write_bytes(b"no picture")
    rows.append(("broken.png", "bona_fide", "source99"))
    with (folder / "manifest.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("path", "label", "source"), *rows])
    return folder / "manifest.csv"


def test_a_run_goes_on_where_it_was_and_is_tabulated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "Target", Toy)
    manifest = write_set(tmp_path)
    given = ["attack", str(manifest), "--out", str(tmp_path / "out"), "--queries", "20",
             "--costly", "2", "--most", "14", "--attacks"]  # fmt: skip
    done = CliRunner().invoke(bench, [*given, "square,autoencoder"])
    assert done.exit_code == 1, done.output  # one cannot be read
    lines = tmp_path / "out" / "attacks.jsonl"
    first = lines.read_text()
    records = run.read(lines)
    outcomes = [record["outcome"] for (name, _), record in records.items() if name == "none"]
    assert sorted(outcomes) == ["open", *["right"] * 11]
    assert len([name for name, _ in records if name == "square"]) == 4
    assert len([name for name, _ in records if name == "autoencoder"]) == 11
    steps = next(one for (name, _), one in records.items() if name == "square")["results"]
    assert [one["budget"] for one in steps] == [5, 10, 20]
    lines.write_text(first + '{"attack": "none", "path')  # cut by a kill
    again = CliRunner().invoke(bench, [*given, "square,autoencoder,adaptive", "--json"])
    assert again.exit_code == 1
    found = json.loads(again.output[again.output.index("{") :])
    assert found["clean"]["hide"]["right"]["value"] == pytest.approx(5 / 6)
    rows = {(one["attack"], one["goal"], one["budget"]): one for one in found["attacks"]}
    assert rows["adaptive", "hide", 5]["pictures"] == 2
    row = rows["square", "hide", 20]
    parts = [row[name]["value"] for name in ("right", "open", "wrong")]
    assert sum(parts) == pytest.approx(1)
    assert row["robust"] is None  # of two pictures
    row = rows["autoencoder", "hide", 176]
    assert row["pictures"] == 5
    assert row["robust"] == pytest.approx(row["right"]["value"] * 5 / 6)
    page = (tmp_path / "out" / "attacks.md").read_text()
    assert (
        "| `square` | 20 queries | 2 |" in page
        and "do not edit" in page
        and "bona fide, to be accused" in page
    )
    labels = [one.get("label") for (name, _), one in run.read(lines).items() if name == "adaptive"]
    assert all(labels) and len(labels) == 4
    assert sum(found["headlines"]["adaptive, hide"].values()) == 2


def test_what_is_not_installed_is_left_out_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bonafide.cli import bench_attack

    tried: list[tuple[str, ...]] = []

    def plan_only(files: object, out: Path, plan: run.Plan, tick: object) -> int:
        tried.append(tuple(plan.attacks))
        out.parent.mkdir()
        out.write_text("")
        return 0

    monkeypatch.setattr(bench_attack, "find_spec", lambda name: None)
    monkeypatch.setattr(run, "run", plan_only)
    given = ["attack", str(write_set(tmp_path)), "--out", str(tmp_path / "o")]
    done = CliRunner().invoke(bench, given)
    assert done.exit_code == 0 and "bonafide[attack]" in done.stderr
    assert "boundary" not in tried[0] and "square" in tried[0] and "localiser" not in tried[0]


def test_a_shown_certificate_is_asked_for_rightly(tmp_path: Path) -> None:
    manifest = write_set(tmp_path)
    for text in ("probe", "probe:2", ":0.1", "probe:x"):
        done = CliRunner().invoke(
            bench, ["attack", str(manifest), "--out", str(tmp_path / "o"), "--certify", text]
        )
        assert done.exit_code == 2 and "PROBE:SHARE" in done.output


def test_the_target_counts_and_strips_metadata() -> None:
    target = Target(Question.EDITED, ("jpeg_grid",), quality=90)
    target.begin(1)
    answered = target.ask(np.ascontiguousarray(data.astronaut()[:96, :96]))
    assert answered.decision in Decision and 0 <= answered.probability <= 1
    assert target.encode(flat(100))[:2] == b"\xff\xd8"
    assert target.asked(flat(100)) is None
    with pytest.raises(Spent):
        target.ask(flat(100))


def test_shares_come_with_intervals() -> None:
    found = figures._shares(["right", "right", "open", "wrong"])
    assert found["right"]["value"] == 0.5 and found["right"]["low"] < 0.5 < found["right"]["high"]
