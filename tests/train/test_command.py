"""`bonafide train` as a user meets it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

pytest.importorskip("torch")
pytest.importorskip("onnxscript")

import torch
import toys
import yaml

from bonafide.cli import train as command
from bonafide.cli.main import bonafide
from bonafide.errors import InvalidInput
from bonafide.train import checkpoints, export, settings

OPTIONS = ("--protocol", "generated-native", "--threads", "1")
SMALL = [f"--set={text}" for text in ("width=4", "crop=32", "batch=4", "validate_every=2")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toys")
    toys.write_manifest(folder)
    toys.write_pairs(folder)
    return folder


def train(*arguments: str | Path) -> Result:
    return CliRunner().invoke(bonafide, ["train", *map(str, arguments)])


def test_from_a_manifest_to_a_file_and_on(folder: Path, tmp_path: Path) -> None:
    given = ("npr", "--data", folder / "manifest.csv", "--pairs", folder / "pairs.csv",
             "--out", tmp_path, *OPTIONS, *SMALL)  # fmt: skip
    done = train(*given, "--set", "steps=2")
    assert done.exit_code == 0, done.output
    assert "left out: grid.png" in done.stderr and "next:" in done.stderr
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["steps"] == 2 and record["validation"]["pictures"] > 0
    card = export.read_card(tmp_path / "npr.onnx")
    assert card["settings"]["width"] == 4
    assert [table["name"] for table in card["training_data"]] == ["manifest.csv", "pairs.csv"]
    again = train(*given, "--set", "steps=4")
    assert isinstance(again.exception, InvalidInput) and "--resume" in str(again.exception)
    resumed = train(*given, "--set", "steps=4", "--resume", "--quiet", "--half")
    assert resumed.exit_code == 0 and resumed.output == ""
    assert json.loads((tmp_path / "run.json").read_text())["steps"] == 4


def test_a_run_writes_a_file_that_runs_it_again(folder: Path, tmp_path: Path) -> None:
    first, again = tmp_path / "first", tmp_path / "elsewhere" / "again"
    given = ("npr", "--data", folder / "manifest.csv", "--pairs", folder / "pairs.csv",
             *OPTIONS, *SMALL, "--set", "steps=2", "--quiet")  # fmt: skip
    assert train(*given, "--out", first).exit_code == 0
    told = yaml.safe_load((first / "run.yaml").read_text())
    assert told["method"] == "npr" and told["set"]["width"] == 4 and told["set"]["paired"] is None
    assert not Path(told["data"]).is_absolute()
    done = train("--config", first / "run.yaml", "--out", again, "--quiet")
    assert done.exit_code == 0, done.output
    states = [checkpoints.load(where / "checkpoint.pt") for where in (first, again)]
    for name, value in states[0]["network"].items():
        assert torch.equal(value, states[1]["network"][name]), name
    records = [json.loads((where / "run.json").read_text()) for where in (first, again)]
    assert records[0]["validation"] == records[1]["validation"]
    assert yaml.safe_load((again / "run.yaml").read_text())["set"] == told["set"]
    shown = train("--config", first / "run.yaml", "--settings", "--set", "steps=7").output
    assert {"steps=7", "width=4", "batch=4"} <= set(shown.splitlines())


@pytest.mark.parametrize(
    ("text", "message"),
    [("- npr", "no table"), ("speed: 3", "speed means nothing"), ("set: 3", "set means nothing"),
     ("workers: many", "workers must be a whole number"), ("log: x", "log must be a list"),
     ("method: [", "cannot be read")],
)  # fmt: skip
def test_a_config_that_makes_no_sense_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(text)
    done = train("--config", tmp_path / "run.yaml")
    assert isinstance(done.exception, InvalidInput) and message in str(done.exception)


def test_help_lists_methods_with_their_papers() -> None:
    shown = train("--help").output
    for name, described in command.methods().items():
        assert name in shown and described.title and described.paper
    assert "npr" in command.methods() and "recipe" not in command.methods()


def test_help_and_methods_need_no_torch() -> None:
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom bonafide.cli.main import bonafide\n"
        "assert CliRunner().invoke(bonafide, ['train', '--help']).exit_code == 0\n"
        "assert not {'torch', 'onnx', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_without_the_extra_it_says_how_to_install_it() -> None:
    code = (
        "import sys\nsys.modules['torch'] = None\nsys.argv = ['bonafide', 'train', 'npr', "
        "'--settings']\nfrom bonafide.cli.main import main\nmain()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 2 and "pip install 'bonafide[train]'" in done.stderr


def test_settings_are_shown_and_unknown_ones_refused() -> None:
    shown = train("npr", "--settings", "--set", "width=8").output.splitlines()
    assert "width=8" in shown and "learning_rate=0.0002" in shown and "paired=None" in shown
    refused = train("npr", "--settings", "--set", "depth=3")
    assert isinstance(refused.exception, InvalidInput)
    assert "no setting depth" in str(refused.exception) and "width=64" in str(refused.exception)
    for text in ("steps=0", "batch=-1", "crop=0", "held_out=1", "ema=1.5"):
        name = text.partition("=")[0]
        wrong = train("npr", "--settings", "--set", text)
        assert isinstance(wrong.exception, InvalidInput), text
        assert str(wrong.exception).startswith(f"{name} must be ")
    unknown = train("nothing")
    assert isinstance(unknown.exception, InvalidInput) and "npr" in str(unknown.exception)
    assert train("npr").exit_code == 2


def test_values_are_read_by_their_type() -> None:
    @dataclass(frozen=True)
    class Some:
        whole: int = 1
        real: float = 0.5
        flag: bool = False
        word: str = ""
        several: tuple[int, ...] = (1, 2)
        perhaps: float | None = None

    texts = ["whole=3", "real=1e-3", "flag=yes", "word=a=b", "several=4, 5", "perhaps=0.25"]
    built = settings.build(Some, settings.split(texts))
    assert built == Some(3, 1e-3, True, "a=b", (4, 5), 0.25)
    assert settings.build(Some, {"perhaps": "none"}) == Some()
    assert settings.describe(Some()).splitlines()[4] == "several=1,2"
    for wrong in ("whole=1.5", "real=x", "flag=perhaps"):
        with pytest.raises(InvalidInput, match="must be"):
            settings.build(Some, settings.split([wrong]))
    with pytest.raises(InvalidInput, match="NAME=VALUE"):
        settings.split(["whole"])
