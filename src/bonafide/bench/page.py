"""The report of a run as one self-contained page: what to be wary of first, then figures.

Made from `results` and the audit alone, except for small pictures of the worst mistakes, which are
read from where the manifest lay. Everything is escaped by the template; no script is needed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Template
from markupsafe import Markup

from bonafide import __version__, report
from bonafide.bench import charts, drawings
from bonafide.bench.results import FEWEST
from bonafide.bench.scoring import VERDICT
from bonafide.errors import MediaError
from bonafide.files import atomic_write
from bonafide.media.source import open_media
from bonafide.report import preview, templates
from bonafide.types import Question

Json = Mapping[str, Any]

# Key in results.json → heading.
COLUMNS = {
    "auc": "AUC",
    "average_precision": "Average precision",
    "balanced_accuracy": "Balanced accuracy",
    "accuracy": "Accuracy",
    "accuracy_of_all": "Accuracy, unscored wrong",
    "tpr_at_calibrated_1_percent": "Found at 1 % false alarms",
    "fpr_at_calibrated_1_percent": "False alarms there",
}
FURTHER = {
    "hter": "HTER",
    "eer": "EER",
    "tpr_at_fpr_1_percent": "Found at 1 %, searched",
    "tpr_at_fpr_0_1_percent": "Found at 0.1 %, searched",
    "accuracy_at_half": "Accuracy at p = 0.5",
    "ece": "Calibration error",
    "brier": "Brier score",
    "risk_coverage_area": "Risk over coverage, area",
}
MOST_PICTURES = 112
PER_SIDE = 7
_THUMBNAIL = 160
_FEW_GROUPS = 10
_POSITIVE = {
    Question.SYNTHETIC: ("made by a generator", "not made by a generator"),
    Question.EDITED: ("edited", "authentic"),
    Question.FACE_FORGED: ("with a forged face", "with a genuine face"),
}


def render(results: Json, audit: Json | None = None) -> str:
    """The page.

    Args:
        results: from `results.results`.
        audit: from `audit.audit`, as a dictionary; None where none was made, which is said.
    """
    run, samples = results["run"], results["samples"]
    first = results["degradations"][0]
    ranked = _ranked(first["detectors"])
    drawn = ranked[: charts.COLOURS]
    words = _POSITIVE.get(run["protocol"]["question"], ("positive", "negative"))
    return _template().render(
        run=run,
        protocol=run["protocol"],
        protocol_text=json.dumps(run["protocol"], indent=2, ensure_ascii=False),
        samples=samples,
        positive_word=words[0],
        negative_word=words[1],
        intervals=results["intervals"],
        audit=audit,
        warnings=[*_audit_warnings(audit), *_own_warnings(results)],
        columns=COLUMNS,
        further=FURTHER,
        parts=[_part(part, run) for part in results["degradations"]],
        charts=list(drawings.curves(first["detectors"], drawn)),
        uncharted=ranked[charts.COLOURS :],
        reliability=list(drawings.reliability(first["detectors"], ranked)),
        robustness=list(drawings.robustness(results["degradations"], drawn)),
        generators=list(drawings.generators(first["detectors"], ranked)),
        pairs=first["pairs"],
        significant=sum((row["p_holm"] or 1.0) < 0.05 for row in first["pairs"]),
        mistakes=list(_mistakes(first["detectors"], ranked, run, samples)),
        uncovered=list(_uncovered(first["detectors"])),
        record=list(_record(results)),
    )


def write_page(path: str | os.PathLike[str], results: Json, audit: Json | None = None) -> Path:
    """Write the page; it replaces `path` only when it is complete."""
    target = Path(path)
    with atomic_write(target) as partial:
        partial.write_text(render(results, audit), "utf-8")
    return target


def figure(value: Json | None) -> Markup:
    """A value with its interval below, or a dash."""
    if value is None or value["value"] is None:
        return Markup("–")
    text = Markup("<b>{}</b>").format(_decimals(value["value"]))
    if value["low"] is None or value["high"] is None:
        return text
    low, high = _decimals(value["low"]), _decimals(value["high"])
    between = " to " if value["low"] < 0 else "–"
    return text + Markup(' <span class="range">{}{}{}</span>').format(low, between, high)


def _plain(value: float | None) -> str:
    return "–" if value is None else _decimals(value)


def _decimals(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3f}".replace("-", "−")


def _small(value: float | None) -> str:
    if value is None:
        return "–"
    return "< 0.0001" if value < 1e-4 else f"{value:.4f}"


def _ranked(detectors: Mapping[str, Json]) -> list[str]:
    """Detectors with an AUC, best first."""
    known = {
        name: one["figures"]["auc"]["value"]
        for name, one in detectors.items()
        if one["figures"]["auc"]["value"] is not None
    }
    return sorted(known, key=lambda name: (-known[name], name))


def _audit_warnings(audit: Json | None) -> list[str]:
    if audit is None:
        return [
            "No audit was made: whether size, format or metadata alone tell the classes, and "
            "whether the same picture stands on both sides of a split, is not known."
        ]
    return list(audit["warnings"])


def _own_warnings(results: Json) -> Iterator[str]:
    run, samples = results["run"], results["samples"]
    first = results["degradations"][0]["detectors"]
    if not any(fold["calibrate"] for fold in samples["folds"]):
        yield (
            "The protocol sets nothing apart to choose thresholds on (files for training do not "
            "count), so that no accuracy at a threshold is given."
        )
    if samples["groups"] < _FEW_GROUPS:
        yield (
            f"Files come from {samples['groups']} independent groups; intervals over so few are "
            "too narrow."
        )
    partly = [name for name, one in first.items() if 0 < one["coverage"]["share"] < 0.9]
    if partly:
        yield (
            "These scored fewer than nine files in ten, and their figures are of those files "
            f"alone: {', '.join(partly)}."
        )
    failed = sum(one["coverage"]["failed"] for one in first.values())
    if failed:
        yield (
            f"{failed} scores are missing because a file or a detector failed; they are listed "
            "below."
        )
    judged = [name for name, one in first.items() if one["figures"]["brier"]["value"] is not None]
    if [name for name in judged if not run["detectors"][name]["foreign"]]:
        yield (
            "The probabilities that bonafide reports were fitted beforehand. Where its calibration "
            "pictures are among these files, calibration error, Brier score and reliability look "
            "better than they are."
        )


def _part(part: Json, run: Json) -> dict[str, Any]:
    detectors = part["detectors"]
    names = [*_ranked(detectors), *(n for n in detectors if n not in _ranked(detectors))]
    rows = []
    for name in names:
        one, about = detectors[name], run["detectors"][name]
        cost = one["cost"]["seconds_per_megapixel"]
        rows.append(
            {
                "name": name,
                "kind": _kind(name, about),
                "votes": one["figures"]["auc"]["value"] is not None,
                "scored": f"{one['coverage']['scored']:,} of {one['coverage']['asked']:,}",
                "figures": one["figures"],
                "oracle": one["oracle"]["accuracy"],
                "cost": "–" if cost is None or about["foreign"] else f"{cost:.3f}",
            }
        )
    pixels = [
        {"name": name, **one["pixels"]}
        for name, one in detectors.items()
        if one["pixels"] and one["pixels"]["has_maps"]
    ]
    pixels.sort(key=lambda row: -(row["f1"]["value"] or 0.0))
    best = next(iter(rows), None)
    line = "no scores"
    if best and best["votes"]:
        line = f"best AUC {_decimals(best['figures']['auc']['value'])} ({best['name']})"
    return {**part, "rows": rows, "pixels": pixels, "line": line}


def _kind(name: str, about: Json) -> str:
    if about["foreign"]:
        return f"scores from {Path(about['foreign']).name}"
    if name == VERDICT:
        return "all detectors together"
    return f"version {about['version']}"


def _mistakes(
    detectors: Mapping[str, Json], names: Sequence[str], run: Json, samples: Json
) -> Iterator[dict[str, Any]]:
    folder = Path(run["manifest"]["folder"])
    left = MOST_PICTURES if samples["unit"] == "file" else 0
    seen: dict[str, str] = {}
    for name in names:
        sides = []
        for title, key in (("False alarms", "false_alarms"), ("Missed", "misses")):
            items = []
            for item in detectors[name]["mistakes"][key][:PER_SIDE]:
                path = item["name"]
                if path not in seen and left > 0:
                    seen[path] = _picture(folder / path)
                    left -= 1
                short = "/".join(Path(path).parts[-2:])
                items.append({**item, "short": short, "picture": seen.get(path, "")})
            sides.append((title, items))
        yield {"name": name, "sides": sides}


def _picture(path: Path) -> str:
    try:
        media = open_media(path)
        if media.image is None:
            return ""
        return preview.picture(media.image.pixels, _THUMBNAIL).uri
    except MediaError:
        return ""


def _uncovered(detectors: Mapping[str, Json]) -> Iterator[dict[str, Any]]:
    for name, one in detectors.items():
        coverage = one["coverage"]
        if coverage["scored"] == coverage["asked"]:
            continue
        silent = coverage["files"] - coverage["failed"] - coverage["not_applicable"]
        parts = [f"{coverage['not_applicable']:,} not applicable", f"{coverage['failed']:,} failed"]
        if coverage["scored"] == 0 and silent:
            parts.append("it draws a map and gives no score")
        yield {
            "name": name,
            "line": ", ".join(parts),
            "because": coverage["not_applicable_because"],
            "failures": coverage["failures"],
            "more": coverage["failed"] - len(coverage["failures"]),
        }


def _record(results: Json) -> Iterator[tuple[str, str]]:
    run = results["run"]
    for session in run["sessions"]:
        ended = session["finished"]
        span = f"{session['started']} to {ended}" if ended else f"{session['started']}, stopped"
        yield "Command", f"{session['command']}\n{span}"
    yield "Seed", str(run["seed"])
    used, left = run["manifest"]["used"], run["manifest"]["left_out"]
    yield "Manifest", f"{used:,} files used, {left:,} rows left out by the protocol"
    yield "Detectors", ", ".join(f"{n} {d['version']}" for n, d in run["detectors"].items())
    yield "Versions", ", ".join(f"{name} {value}" for name, value in run["versions"].items())


@cache
def _template() -> Template:
    here = Path(__file__).parent
    base = Path(report.__file__).parent / "template.css"  # one family with the examination report
    style = "".join(
        path.read_text("utf-8").replace("\r\n", "\n") for path in (base, here / "page.css")
    )
    environment = templates.environment(here)
    environment.globals.update(
        version=__version__,
        style=Markup(style),
        policy=templates.policy(style),
        figure=figure,
        plain=_plain,
        small=_small,
        fewest=FEWEST,
        number=lambda value: f"{value:,}",
    )
    return environment.get_template("page.html")
