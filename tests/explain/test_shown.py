"""What a model added, as the page, the PDF and the schema have it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import jsonschema
from tests.report.conftest import HOSTILE

from bonafide.report.html import render_section, with_explained, write_html
from bonafide.report.to_dict import to_dict
from bonafide.types import Dropped, Explained, Report, Statement

SCHEMA = Path(__file__).parents[2] / "docs" / "report.schema.json"


def added(text: str = "The picture is genuine.") -> Explained:
    return Explained(
        f"model {HOSTILE}", "127.0.0.1:1", "findings", "findings-1", "0" * 64, 1,
        kept=(
            Statement("The verdict is manipulated.", ("verdict",), "m"),
            Statement(
                "Two regions are marked.", ("region.1", "region.2", "finding.copy_move"), "m"
            ),
            Statement("The format is JPEG.", ("file.format", "answer.edited"), "m"),
        ),
        dropped=(Dropped(Statement(text, ("verdict",), "m"), "genuine", "“genuine”: no."),),
        requests=2, tokens_in=1800, tokens_out=120, cost=0.0021,
    )  # fmt: skip


def test_every_cite_leads_to_something_on_the_page(report: Report, tmp_path: Path) -> None:
    whole = replace(report, explained=added(HOSTILE))
    section = render_section(whole, None)
    block = section.partition('-explained">')[2].partition("</details>")[0]
    anchors = re.findall(r'<a href="#([^"]+)"', block)
    assert len(anchors) == 6
    assert set(anchors) <= set(re.findall(r' id="([^"]+)"', section))
    assert "<script>document" not in section and "4 made, 3 kept, 1 dropped (1 genuine)" in section
    assert block.index("Two regions") < block.index("<s>")
    later = with_explained(render_section(report, None), whole)
    assert later == render_section(whole, None)
    page = write_html(tmp_path / "page.html", [section], "x")
    assert "In the words of a model" in page.read_text("utf-8")


def test_the_record_fits_the_schema(report: Report) -> None:
    schema = json.loads(SCHEMA.read_text("utf-8"))
    record = json.loads(json.dumps(to_dict(replace(report, explained=added()))))
    jsonschema.validate(record, schema)
    record["explained"]["share"] = "everything"
    try:
        jsonschema.validate(record, schema)
    except jsonschema.ValidationError:
        return
    raise AssertionError("the schema accepts anything")


def test_the_pdf_has_the_kept_statements(report: Report, tmp_path: Path) -> None:
    from bonafide.report.pdf import write_pdf

    plain, more = tmp_path / "plain.pdf", tmp_path / "more.pdf"
    write_pdf(json.loads(json.dumps(to_dict(report))), plain, None)
    whole = replace(report, explained=added())
    write_pdf(json.loads(json.dumps(to_dict(whole))), more, None)
    assert more.stat().st_size > plain.stat().st_size
