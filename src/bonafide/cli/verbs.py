"""The table of verbs: which file each is in, and how `bonafide --help` sorts them."""

from __future__ import annotations

from importlib import import_module
from typing import IO, Any

import click

WHAT_TO_TYPE = """\
bonafide photo.jpg          examine one file
bonafide scan folder        examine every file below a folder
bonafide serve --no-auth    open the web app at http://127.0.0.1:8000/
"""

# Section → verb → (file of this folder, what it does). "" for verbs that are in `main`.
SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "Examine": {
        "scan": ("", "Examine files, folders, lists or buckets."),
        "compare": ("compare", "Say whether one picture is an edited copy of another."),
        "detectors": ("", "List the detectors, or show the card of one."),
        "demo": ("", "Make pictures to try it on, and examine them."),
    },
    "Keep, sign, verify": {
        "history": ("store", "List stored reports, newest first."),
        "show": ("store", "Show a stored report as `scan` shows it."),
        "export": ("store", "Write stored reports as JSON Lines, CSV or Parquet."),
        "feedback": ("feedback", "Say what a file is whose report is wrong."),
        "report": ("store", "Write a stored report as PDF; sign a report."),
        "verify": ("custody", "Examine a file again and compare with its report."),
        "sign": ("sign", "Write content credentials into a copy of a file."),
        "label": ("label", "Say in a copy of a file that AI made it."),
        "trust": ("trust", "Say whose content credentials count as trusted."),
        "camera": ("camera", "Enrol cameras, to recognise their pictures."),
        "person": ("person", "Enrol persons, to be told where they seem to appear."),
        "keys": ("custody", "Make keys that sign reports, and keys of the service."),
        "store": ("store", "Check or print the audit trail of the store."),
    },
    "Serve": {
        "serve": ("serve", "Run the web app and the API."),
        "worker": ("serve", "Examine files that wait in the queue of a service."),
        "mcp": ("mcp", "Serve the detectors to models as tools (MCP)."),
    },
    "Measure and train": {
        "bench": ("bench", "Measure and calibrate detectors on labelled files."),
        "train": ("train", "Train a detector and export it as ONNX."),
        "probe": ("probe", "Fit a linear probe on the features of CLIP."),
        "align": ("align", "Send photographs through decoders: training pairs."),
        "tamper": ("tamper", "Edit photographs, with exact masks: training data."),
        "weights": ("weights", "List, fetch and verify published networks."),
    },
}


class Verbs(click.Group):
    """A group in which `bonafide PATH` is short for `bonafide scan PATH`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Say what to type if nothing was typed; put `scan` before a path."""
        if not args and not ctx.resilient_parsing:
            raise NothingTyped
        own = {"--help", "-h", "--version"}
        if args and args[0] not in self.commands and not own.intersection(args[:1]):
            args = ["scan", *args]
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs by what they are for."""
        for section, verbs in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([(name, text) for name, (_, text) in verbs.items()])


class NothingTyped(click.ClickException):
    """`bonafide` alone; shown as three lines that say what to type."""

    exit_code = 2

    def __init__(self) -> None:
        super().__init__(WHAT_TO_TYPE)

    def show(self, file: IO[Any] | None = None) -> None:
        """Print what to type on standard error."""
        click.echo(self.message, file=file, nl=False, err=True)


class Elsewhere(click.Command):
    """A verb of another file, which is imported only when the verb is asked for."""

    def __init__(self, name: str, module: str, help: str) -> None:  # noqa: A002
        super().__init__(name, help=help)
        self.module = module

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Import the verb and let it parse its own arguments."""
        verb: click.Command = getattr(import_module(self.module), str(self.name))
        return verb.make_context(info_name, args, parent, **extra)


def add_verbs(group: click.Group) -> None:
    """Add the verbs of other files."""
    for verbs in SECTIONS.values():
        for name, (file, text) in verbs.items():
            if file:
                group.add_command(Elsewhere(name, f"bonafide.cli.{file}", text))
