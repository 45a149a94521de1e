"""The verb `bonafide bench release`: everything that ships, fitted again by the verbs that fit it.

A release is a list of commands that anyone can type. They are printed, written down, and run one
after the other; each continues what an earlier run left.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import click

from bonafide.cli.bench_options import DONE, SOME_FAILED, quiet_option
from bonafide.errors import BonafideError, InvalidInput

PLAN, COMMANDS = "release.yaml", "commands.sh"
WEIGHTS, CALIBRATION, PAGE = "weights", "calibration.json", "accuracy.md"
_CUT = ("faces", "scenes", "frames")
_KEYS = {
    "probes": {"detector", "manifests", "reads", "crops", "features", "fit"},
    "calibrate": {"manifests", "detectors", "page", "most-per-source"},
    "regions": {"manifests", "false-regions", "most-per-source"},
}


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path),
                metavar="DIR")  # fmt: skip
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path),
              metavar="DIR", help="Gets networks, calibration, pages and what was run; one that "
              "exists is continued.")  # fmt: skip
@click.option("--docs", type=click.Path(exists=True, file_okay=False, path_type=Path),
              metavar="DIR", help="Copy the pages there, as docs/accuracy.md.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Print the commands and run none.")
@quiet_option
@click.pass_context
def release(
    ctx: click.Context, folder: Path, out: Path, docs: Path | None, dry_run: bool, quiet: bool
) -> None:
    """Fit everything that ships again, from a folder of labelled data.

    DIR holds release.yaml, which names manifests: probes to fit, files to calibrate on, edited
    pictures to fit regions on. Networks of probes that are fitted replace those that ship while
    the rest runs. A probe's own pictures are scored out of fold.

    \b
    probes:
      - detector: clip_probe
        manifests: [training.csv]
    calibrate:
      - manifests: [pictures.csv]
        page: accuracy.md
    regions:
      manifests: [edited.csv]

    \b
    Exit status: 0 done · 1 some file could not be used · 2 wrong usage.
    """
    commands = list(steps(read_plan(folder / PLAN), folder, out))
    for one in commands:
        _check(one, folder / PLAN, ctx.parent)
    text = "".join(f"bonafide {shlex.join(one.words)}\n" for one in commands)
    if dry_run:
        click.echo(text, nl=False)
        return
    out.mkdir(parents=True, exist_ok=True)
    (out / COMMANDS).write_text(
        f"export BONAFIDE_WEIGHTS={shlex.quote(str(out / WEIGHTS))}\n{text}"
    )
    for name in (WEIGHTS, "probes"):
        (out / name).mkdir(exist_ok=True)
    before = os.environ.get("BONAFIDE_WEIGHTS")
    os.environ["BONAFIDE_WEIGHTS"] = str(out / WEIGHTS)
    try:
        failed = [one for one in commands if _run(one, out, quiet)]
    finally:
        if before is None:
            del os.environ["BONAFIDE_WEIGHTS"]
        else:
            os.environ["BONAFIDE_WEIGHTS"] = before
    for made in sorted(out.glob("*.md")):
        click.echo(str(shutil.copy(made, docs) if docs else made))
    raise SystemExit(SOME_FAILED if failed else DONE)


@dataclass(frozen=True)
class Step:
    """One command.

    Attributes:
        words: after `bonafide`.
        makes: folder whose networks are used from then on; None for none.
    """

    words: tuple[str, ...]
    makes: Path | None = None


def read_plan(path: Path) -> Mapping[str, Any]:
    """What a release consists of.

    Raises:
        InvalidInput: the file cannot be read, or says something that no release can do.
    """
    try:
        import yaml

        found = yaml.safe_load(path.read_text("utf-8"))
    except ImportError:
        from bonafide.errors import MissingExtra

        raise MissingExtra("bench", "bonafide bench release") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}") from None
    if not isinstance(found, dict) or set(found) - set(_KEYS) or not found.get("calibrate"):
        raise InvalidInput(f"{path} needs calibrate, and may have probes and regions; no more")
    for part, keys in _KEYS.items():
        entries = found.get(part) or []
        for entry in entries if isinstance(entries, list) else [entries]:
            if not isinstance(entry, dict) or set(entry) - keys or not entry.get("manifests"):
                raise InvalidInput(
                    f"{path}: {part} needs manifests, and may have {', '.join(sorted(keys))}"
                )
    for entry in found.get("probes") or []:
        if "detector" not in entry:
            raise InvalidInput(f"{path}: probes need a detector")
    return found


def steps(plan: Mapping[str, Any], folder: Path, out: Path) -> Iterator[Step]:
    """The commands of a plan, in order."""
    held: list[str] = []
    for probe in plan.get("probes") or []:
        name = str(probe["detector"])
        manifests = _paths(probe["manifests"], folder)
        home, features = out / "probes" / name, out / "probes" / f"{name}.npz"
        reads = probe.get("reads", "pictures")
        if reads in _CUT:
            crops = out / "probes" / f"{name}-crops"
            yield Step(("probe", "crops", *manifests, "--reads", reads, "--out", str(crops),
                        *_words(probe.get("crops"))))  # fmt: skip
            manifests = (str(crops / "manifest.csv"),)
        kind = ("--voices",) if reads == "voices" else ()
        own = () if reads == "voices" else ("--detector", name)
        yield Step(("probe", "features", *manifests, *kind, "--out", str(features),
                    *_words(probe.get("features"))))  # fmt: skip
        yield Step(("probe", "fit", *manifests, *kind, *own, "--features", str(features),
                    "--out", str(home), *_words(probe.get("fit"))), home)  # fmt: skip
        held += ["--scores-of", f"{name}={home / 'out_of_fold.csv'}"]
    for number, part in enumerate(plan["calibrate"]):
        manifests = _paths(part["manifests"], folder)
        scores = out / f"scores-{number}.jsonl"
        chosen = [str(one) for one in part.get("detectors") or []]
        most = _words({"most-per-source": part.get("most-per-source")})
        asked = ("--detectors", ",".join(chosen)) if chosen else ()
        yield Step(("bench", "measure", *manifests, "--out", str(scores), *asked, *most))
        table = str(out / CALIBRATION)
        voting = tuple(word for one in chosen for word in ("--detector", one))
        labels = tuple(word for one in manifests for word in ("--manifest", one))
        page = out / str(part.get("page", PAGE if number == 0 else f"accuracy-{number}.md"))
        yield Step(("bench", "calibrate", str(scores), *labels, *voting, *held, "--out", table,
                    *(("--into", table) if number else ()), "--page", str(page)))  # fmt: skip
    if regions := plan.get("regions"):
        options = _words({key: regions.get(key) for key in ("false-regions", "most-per-source")})
        yield Step(("bench", "regions", *_paths(regions["manifests"], folder), "--maps",
                    str(out / "maps"), "--out", str(out / CALIBRATION), *options))  # fmt: skip


def _check(step: Step, plan: Path, bench: click.Context | None) -> None:
    """See that a command takes its options, before hours go by.

    Raises:
        InvalidInput: it does not.
    """
    from bonafide.cli.probe import probe

    group, verb = step.words[:2]
    assert bench is not None
    commands = probe.commands if group == "probe" else cast(click.Group, bench.command).commands
    command = commands[verb]
    known = {option for one in command.params for option in one.opts}
    unknown = [word for word in step.words if word.startswith("--") and word not in known]
    if unknown:
        raise InvalidInput(f"{plan}: bonafide {group} {verb} has no {unknown[0]}")


def _run(step: Step, out: Path, quiet: bool) -> bool:
    """Run one command in this process; whether some file of it failed.

    Raises:
        BonafideError: it could not be done.
    """
    from bonafide.cli.main import bonafide

    told = "bonafide " + shlex.join(step.words)
    click.echo(f"$ {told}", err=True)
    try:
        status = bonafide.main(
            [*step.words, *(["--quiet"] if quiet else [])], standalone_mode=False
        )
    except SystemExit as ended:
        status = ended.code
    except click.ClickException as error:
        raise BonafideError(f"{told}: {error.format_message()}") from None
    if status not in (None, DONE, SOME_FAILED):
        raise BonafideError(f"{told} ended with status {status}")
    if step.makes is not None:
        for network in step.makes.glob("*.onnx"):
            shutil.copy(network, out / WEIGHTS)
    return bool(status == SOME_FAILED)


def _paths(names: Sequence[str], folder: Path) -> tuple[str, ...]:
    return tuple(str(folder / str(name)) for name in names)


def _words(options: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Options of a plan as words: true for a flag, a list for one that is repeated."""
    words: list[str] = []
    for name, value in (options or {}).items():
        for one in value if isinstance(value, list) else [value]:
            if one is True:
                words.append(f"--{name}")
            elif one is not None and one is not False:
                words += [f"--{name}", str(one)]
    return tuple(words)
