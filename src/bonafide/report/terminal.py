"""One report as a card in the terminal, or many as a line each.

Nothing from a file is read as markup or obeyed as an escape sequence: text goes in as text, with
unsafe characters written as their codes.
"""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from bonafide.explain.words import where
from bonafide.languages.speak import gettext as _
from bonafide.languages.speak import told
from bonafide.report import chart, explained, wording
from bonafide.types import Explained, Failure, Finding, Question, Report, Stability

_BAR = 24  # characters
_STATES = {"hit": "bold", "good": "green", "quiet": "dim", "note": ""}


def print_card(report: Report | Failure, console: Console) -> None:
    """Print everything that matters about one file: verdict, why, findings, what was not tested."""
    if isinstance(report, Failure):
        print_line(report, console)
        return
    media, verdict = report.media, report.verdict
    words = wording.VERDICTS[verdict.label]
    console.print()
    console.print(Text(wording.one_line(media.name), "bold"))
    size = f", {media.width} x {media.height}" if media.width else ""
    facts = f"{wording.one_line(media.format)}{size}, sha256 {media.sha256[:16]}"
    console.print(Text(facts, "dim"))
    console.print()
    badge = Text(f" {_symbol(words, console)} {told(words.name)} ", f"bold reverse {words.colour}")
    console.print(badge + Text(f"  {told(words.meaning)}", ""))
    console.print()
    console.print(_bars(report, console))
    if verdict.because:
        console.print(Text("\n" + _("Why"), "bold"))
        for number, reason in enumerate(verdict.because, 1):
            row = Table.grid(padding=(0, 1))
            row.add_row(
                Text(f"{number}."),
                Text(wording.one_line(told(reason.text)))
                + Text(f" ({wording.one_line(reason.detector)})", "dim"),
            )
            console.print(row)
    for number, sentence in enumerate(where(report.edits)):
        if number == 0:
            console.print(Text("\n" + _("Where"), "bold"))
        console.print(Text(wording.one_line(told(sentence))))
    lines = chart.charts(report)
    if lines:
        console.print(Text("\n" + _("Along time"), "bold"))
        for line in lines:
            console.print(_along(line, console))
    findings = wording.ordered(report)
    if findings:
        console.print()
        console.print(_findings(findings, console))
    if report.stability:
        console.print()
        _print_stability(report, report.stability, console)
    if report.explained:
        console.print()
        _print_explained(report.explained, console)
    missing = wording.untested(report)
    if missing:
        names = ", ".join(wording.one_line(row[0]) for row in missing)
        console.print()
        console.print(Text(_("Not tested (%(n)s): ", n=len(missing)), "bold") + Text(names, "dim"))
    console.print()
    console.print(Text(wording.one_line(told(verdict.caveat)), "italic"))
    console.print()


def print_line(outcome: Report | Failure, console: Console) -> None:
    """Print one file on one line: symbol, verdict, name, strongest reason."""
    if isinstance(outcome, Failure):
        words, name, reason = wording.FAILURE, outcome.name, told(outcome.why)
    else:
        words, name = wording.VERDICTS[outcome.verdict.label], outcome.media.name
        reason = wording.headline(outcome)
    line = Text.assemble(
        (f"{_symbol(words, console)} {told(words.name):<15}", f"bold {words.colour}"),
        (wording.one_line(name), ""),
        (f"  {wording.one_line(reason)}" if reason else "", "dim"),
    )
    # A pipe gets the whole line; a screen gets what fits.
    if console.is_terminal:
        console.print(line, no_wrap=True, overflow="ellipsis")
    else:
        console.print(line, no_wrap=True, overflow="ignore", crop=False)


def _bars(report: Report, console: Console) -> Table:
    colour = wording.VERDICTS[report.verdict.label].colour
    grid = Table.grid(padding=(0, 2))
    full, empty = ("#", ".") if _ascii(console) else ("█", "░")
    for question, answer in wording.answers(report):
        shown, name = wording.strength(answer), wording.asked_about(question, answer)
        if answer is None or answer.probability is None or not wording.stated(answer):
            grid.add_row(name, Text(" " * _BAR), Text(shown, "dim"))
            continue
        length = round(_BAR * min(max(answer.probability, 0.0), 1.0))
        bar = Text(full * length, colour) + Text(empty * (_BAR - length), "dim")
        grid.add_row(name, bar, Text(shown, "bold"))
    return grid


def _along(line: chart.Chart, console: Console) -> Text:
    """A series on one line: title, shape, where it ends, its largest values."""
    shape = line.sparkline(max(8, min(48, console.width // 2)), _ascii(console))
    return Text.assemble(
        (f"{wording.one_line(line.title)} ", ""),
        (shape, "bold"),
        (_(" to %(time)s. ", time=wording.clock(line.length)), "dim"),
        (line.summary, "dim"),
    )


def _findings(findings: list[Finding], console: Console) -> Table:
    wide = console.width >= 110
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column(_("Detector"), no_wrap=console.width >= 80, overflow="fold")
    table.add_column(_("Outcome"), max_width=22 if wide else 14, overflow="fold")
    if wide:
        table.add_column(_("Score"), justify="right", no_wrap=True)
        table.add_column(_("Counts from"), justify="right", no_wrap=True)
    table.add_column(_("What was measured"), ratio=1, overflow="fold")
    for finding in findings:
        style, outcome = wording.state(finding)
        counts = finding.score is not None and finding.question is not Question.PROVENANCE
        score = wording.number(finding.score or 0.0) if counts else ""
        limit = wording.limit(finding.calibrated.threshold) if counts and finding.calibrated else ""
        came = Text(outcome, _STATES.get(style, ""))
        if not wide:  # a narrow screen stacks the numbers under the outcome
            if score:
                came.append("\n" + _("score %(score)s", score=score), "dim")
            if limit:
                came.append("\n" + _("of %(limit)s", limit=limit), "dim")
        cells = [Text(score), Text(limit)] if wide else []
        summary = Text(wording.one_line(told(finding.summary)))
        for sentence in finding.calibrated.warnings if finding.calibrated else ():
            warning = _("Outside the calibrated range: %(why)s", why=told(sentence))
            summary.append(f"\n{wording.one_line(warning)}", "yellow")
        table.add_row(Text(wording.one_line(finding.detector)), came, *cells, summary)
    return table


def _print_stability(report: Report, held: Stability, console: Console) -> None:
    """The probability of each question on each changed copy."""
    console.print(Text(_("On changed copies"), "bold"))
    if held.text != report.verdict.caveat:  # which is printed below
        console.print(Text(wording.one_line(told(held.text))))
    for text in wording.not_tried(held):
        console.print(Text(wording.one_line(text), "dim"))
    moved = wording.moved(report)
    if not moved:
        return
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column(_("Change"), overflow="fold")
    for question, _values in moved:
        table.add_column(wording.question(question), overflow="fold")
    rows: list[tuple[str, Mapping[Question, float | None]]] = [
        (_("as it is"), report.verdict.probabilities)
    ]
    for variant in held.variants:
        words = told(variant.words)
        words = words if variant.mild else _("%(change)s (strong)", change=words)
        rows.append((words, dict(variant.probabilities)))
    for words, probabilities in rows:
        shown = [probabilities.get(question) for question, _values in moved]
        table.add_row(words, *("-" if p is None else wording.percent(p) for p in shown))
    in_all = [wording.extent(values) for _question, values in moved]
    table.add_row(_("all copies"), *in_all, style="bold")
    console.print(table)


def _print_explained(added: Explained, console: Console) -> None:
    """What a model added, with what each sentence rests on."""
    console.print(Text(_("Explained by a model"), "bold"))
    console.print(Text(wording.one_line(explained.origin(added)), "dim"))
    if tools := explained.tools(added):
        console.print(Text(wording.one_line(tools), "dim"))
    for number, step in enumerate(added.steps, 1):
        result = wording.one_line(step.summary, 60)
        line = f"{number}. {wording.one_line(explained.called(step))}: {result}"
        console.print(Text(line, "dim"))
    for statement in added.kept:
        row = Table.grid(padding=(0, 1))
        cites = ", ".join(statement.cites)
        row.add_row(
            Text("-"),
            Text(wording.one_line(statement.text)) + Text(f" ({wording.one_line(cites)})", "dim"),
        )
        console.print(row)
    if added.roles:
        console.print(Text(wording.one_line(explained.roles_note()), "dim"))
    for name, claim, against in explained.roles(added):
        console.print(Text(wording.one_line(f"- {name}: {claim}: {against}", 400)))
    counted = explained.counted(added)
    if added.failure:
        counted = f"{counted} {told(f'{added.failure[:1].upper()}{added.failure[1:]}')}."
    console.print(Text(wording.one_line(counted), "dim"))


def _symbol(words: wording.Words, console: Console) -> str:
    return words.plain_symbol if _ascii(console) else words.symbol


def _ascii(console: Console) -> bool:
    return console.options.ascii_only


def progress(what: str, console: Console) -> Progress:
    """A progress bar that goes away when it is done: what, bar, count, time left, remarks."""
    return Progress(
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
        console=console,
        transient=True,
    )
