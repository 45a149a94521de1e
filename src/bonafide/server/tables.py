"""Jobs as comma-separated values that a spreadsheet cannot be tricked by."""

from __future__ import annotations

import csv
import io

from bonafide.report.wording import clean
from bonafide.server import models
from bonafide.types import ACCUSATIONS

_QUESTIONS = [question.value for question in ACCUSATIONS.values()]
_COLUMNS = ("position", "name", "sha256", "state", "verdict", *_QUESTIONS, "report", "error", "why")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def job_table(job: models.Job) -> str:
    """One line per file of a job, after a line of headings."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(_COLUMNS)
    for file in job.files:
        likely = file.probabilities or {}
        failure = file.failure
        writer.writerow(
            [
                file.position,
                _cell(file.name),
                file.sha256,
                file.state,
                file.verdict,
                *(likely.get(question) for question in _QUESTIONS),
                file.report,
                failure and failure.error,
                _cell(failure.why) if failure else None,
            ]
        )
    return out.getvalue()


def _cell(text: str) -> str:
    """Text that a spreadsheet does not take for a formula."""
    shown = clean(text)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown
