"""A comparison in the terminal; text from files is shown, never obeyed."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bonafide.comparison.result import Comparison
from bonafide.languages.speak import gettext as _
from bonafide.languages.speak import told
from bonafide.report import comparison_words, terminal, wording
from bonafide.types import Failure

_MOST = 12


def print_comparison(result: Comparison | Failure, console: Console) -> None:
    """Print how two pictures relate, why, and what was changed."""
    if isinstance(result, Failure):
        terminal.print_line(result, console)
        return
    words = comparison_words.RELATIONS[result.relation]
    symbol = words.symbol if console.encoding.startswith("utf") else words.plain_symbol
    console.print()
    names = _(
        "%(suspect)s compared with %(reference)s",
        suspect=result.suspect.name,
        reference=result.reference.name,
    )
    console.print(Text(wording.one_line(names), "bold"))
    console.print()
    badge = Text(f" {symbol} {told(words.name)} ", f"bold reverse {words.colour}")
    console.print(badge + Text(f"  {told(words.meaning)}"))
    console.print(Text("\n" + _("Why"), "bold"))
    console.print(_numbered([told(reason) for reason in result.because]))
    if result.changes:
        console.print(Text("\n" + _("What was changed"), "bold"))
        console.print(
            _numbered([comparison_words.change(found) for found in result.changes[:_MOST]])
        )
        if len(result.changes) > _MOST:
            more = len(result.changes) - _MOST
            console.print(Text(_("and %(n)s smaller regions", n=more), "dim"))
    console.print()
    for caveat in comparison_words.caveats(result):
        console.print(Text(told(caveat), "dim"))


def _numbered(sentences: list[str] | tuple[str, ...]) -> Table:
    table = Table.grid(padding=(0, 1))
    for number, sentence in enumerate(sentences, 1):
        table.add_row(Text(f"{number}."), Text(wording.one_line(sentence)))
    return table
