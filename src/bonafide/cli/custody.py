"""The verbs that check reports and make keys: verify, keys."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from bonafide.cli.options import limit_options, limits_of
from bonafide.cli.reports import read_report
from bonafide.cli.store_options import actor, store_option
from bonafide.errors import InvalidInput
from bonafide.store.rows import SCOPES

_DIFFERS = 1
_MOST = 20  # differences that are printed


@dataclass(frozen=True)
class Check:
    """One line of `verify`.

    Attributes:
        name: of what was checked.
        passed: None for a remark.
        detail: what was seen.
    """

    name: str
    passed: bool | None
    detail: str


@click.command()
@click.argument("report", metavar="REPORT.json", type=click.Path(dir_okay=False))
@click.argument("file", required=False, metavar="[FILE]", type=click.Path())
@click.option("--public-key", metavar="PEM", help="Public key of whom you trust to have signed it.")
@click.option(
    "--trust",
    metavar="PEM",
    type=click.Path(exists=True),
    help="The trust list, if it is not where the report says.",
)
@click.option(
    "--calibration",
    metavar="FILE",
    type=click.Path(exists=True),
    help="The calibration, if it is not where the report says.",
)
@click.option(
    "--network", is_flag=True, help="Use the network if the report was made with --network."
)
@limit_options
def verify(
    report: str,
    file: str | None,
    public_key: str | None,
    trust: str | None,
    calibration: str | None,
    network: bool,
    **limits: Any,
) -> None:
    """Examine FILE again with the settings of the report and compare; check the signature.

    Verdict, sentences, regions and whole numbers must be equal. Numbers with a fraction may differ
    by 0.002 plus 0.2 % of their size, since processors differ in last digits; those that differ are
    named. The date, the time taken and the name of the file are covered by a signature alone.

    \b
    bonafide verify report.json photo.jpg
    bonafide verify report.json photo.jpg --public-key desk.public.pem
    bonafide verify report.json --public-key desk.public.pem      the signature alone

    \b
    Exit status: 0 everything agrees · 1 something does not · 2 it cannot be told.
    """
    if file is None and public_key is None:
        raise click.UsageError("give the FILE that was examined, or --public-key, or both")
    record = read_report(report)
    passed = True
    for check in _checks(record, file, public_key, trust, calibration, network, limits):
        mark = {True: "agrees ", False: "DIFFERS", None: "note   "}[check.passed]
        click.echo(f"{mark}  {check.name}: {check.detail}")
        passed = passed and check.passed is not False
    sys.exit(0 if passed else _DIFFERS)


@click.group()
def keys() -> None:
    """Make keys that sign reports (new) and keys of the service (add, list, revoke).

    \b
    bonafide keys new desk.pem                   keep desk.pem secret, publish desk.public.pem
    bonafide keys add website --scope examine    prints the secret once
    """


@keys.command()
@click.argument("path", metavar="FILE.pem", type=click.Path(dir_okay=False))
@click.option("--password", is_flag=True, help="Ask for a password that encrypts the key.")
def new(path: str, password: bool) -> None:
    """Make a pair of keys for signing: FILE.pem (keep it secret) and FILE.public.pem."""
    from bonafide.custody import signing

    secret = ""
    if password:
        secret = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    public = signing.new_key(Path(path), secret)
    known = signing.fingerprint(signing.public_key(public))
    click.echo(f"keep secret  {path}\npublish      {public}\nfingerprint  {known}")


@keys.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(SCOPES),
    help="What the key may do; may be repeated.  [default: examine and read]",
)
@click.option(
    "--rate",
    type=click.IntRange(min=0),
    default=60,
    show_default=True,
    help="Requests per minute; 0 for no limit.",
)
@store_option
def add(name: str, scopes: tuple[str, ...], rate: int, url: str | None) -> None:
    """Make a key of the service; it is printed once and only its hash is stored."""
    from bonafide.store import open_store

    secret = open_store(url).add_key(name, scopes or ("examine", "read"), rate, actor())
    click.echo(secret)
    click.echo("This key cannot be shown again.", err=True)


@keys.command("list")
@store_option
def list_(url: str | None) -> None:
    """List the keys of the service."""
    from bonafide.report.wording import one_line
    from bonafide.store import open_store

    for key in open_store(url).keys():  # noqa: SIM118 (it is no dict)
        state = f"revoked {key.revoked_at:%Y-%m-%d}" if key.revoked_at else "valid"
        rate = f"{key.rate}/min" if key.rate else "no limit"
        scopes = ",".join(sorted(key.scopes))
        click.echo(f"{one_line(key.name, 40):<24} {scopes:<22} {rate:<10} {state}")


@keys.command()
@click.argument("name")
@store_option
def revoke(name: str, url: str | None) -> None:
    """Revoke a key of the service, at once and permanently."""
    from bonafide.store import open_store

    if not open_store(url).revoke(name, actor()):
        raise InvalidInput(f"there is no valid key named {name}")
    click.echo(f"{name} is revoked")


def _checks(
    record: dict[str, Any],
    file: str | None,
    public: str | None,
    trust: str | None,
    calibration: str | None,
    network: bool,
    limits: Mapping[str, Any],
) -> Iterator[Check]:
    from bonafide.custody import compare

    yield _signature(record, public)
    if file is None:
        return
    same = _same_file(record, file)
    yield same
    if not same.passed:
        return
    settings = compare.settings_of(record, limits_of(limits))
    if settings.network and not network:
        yield Check(
            "network", None, "was used for the report, is not used now; --network allows it"
        )
    settings = replace(
        settings,
        trust=trust or settings.trust,
        calibration=calibration or settings.calibration,
        network=settings.network and network,
    )
    yield from _again(record, file, settings)


def _signature(record: dict[str, Any], public: str | None) -> Check:
    if public is None and "signature" not in record:
        unproven = "date, name and library versions cannot be checked without one"
        return Check("signature", None, f"there is none; {unproven}")
    from bonafide.custody import signing

    key = signing.public_key(Path(public)) if public else signing.stated_key(record)
    if key is None:
        return Check("signature", False, "its algorithm is not supported")
    flaw = signing.flaw(record, key)
    if flaw:
        return Check("signature", False, flaw)
    made = f"made with the key {signing.fingerprint(key)}"
    if public is None:
        return Check("signature", None, f"{made}; give --public-key to check whose key that is")
    return Check("signature", True, made)


def _same_file(record: dict[str, Any], file: str) -> Check:
    from bonafide.networks.runtime import sha256

    try:
        then, now = str(record["media"]["sha256"]), sha256(Path(file))
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror}") from None
    except (KeyError, TypeError):
        raise InvalidInput("the report does not name the SHA-256 of its file") from None
    if then != now:
        return Check("file", False, f"its SHA-256 is {now}, that of the report is {then}")
    return Check("file", True, f"SHA-256 {now}")


def _again(record: dict[str, Any], file: str, settings: Any) -> Iterator[Check]:
    from bonafide.cli.scan import scan
    from bonafide.custody import compare
    from bonafide.evidence.calibration import load_calibration
    from bonafide.examination import select

    for path in filter(None, (settings.trust, settings.calibration)):
        if not (Path(path).is_file() or Path(path).is_dir()):
            raise InvalidInput(
                f"{path} does not exist: give its new place with --trust or --calibration"
            )
    gone, version = compare.gone(record), _shown(record["versions"].get("bonafide", "unknown"))
    if absent := [name for name in gone if name in settings.only]:
        raise InvalidInput(
            f"the report asked {_shown(', '.join(absent))}: no detector of that name is installed "
            f"here; it was made with bonafide {version}"
        )
    for name in gone:
        told = f"not installed here, cannot be asked again; the report is of bonafide {version}"
        yield Check(f"detector {_shown(name)}", None, told)
    load_calibration(settings.calibration)  # in the examination, either would look like a bug
    select(settings)
    name = str(record["media"].get("name"))
    (outcome,) = scan([(file, None, name)], settings, jobs=1, fork=True)
    now = outcome.record
    if now["status"] != "ok":
        yield Check("examination", False, f"failed this time: {now['why']}")
        return
    if record.get("verdict") == now["verdict"]:
        yield Check("verdict", True, now["verdict"])
    else:
        yield Check("verdict", False, f"{record.get('verdict')} then, {now['verdict']} now")
    if compare.older(record):
        told = "is 1: compared is what schema 2 has as well, without sentences"
        yield Check("schema", None, told)
    different = compare.differences(record, now)
    for one in different[:_MOST]:
        yield Check(_shown(one.where), False, f"{_shown(one.then)} then, {_shown(one.now)} now")
    if len(different) > _MOST:
        yield Check("more", False, f"{len(different) - _MOST} further differences")
    if not different:
        yield Check(
            "findings", True, f"{len(now['findings'])} findings, and everything derived from them"
        )
    if moved := compare.within_tolerance(record, now):
        (first, *others) = moved
        more = f", and {len(others)} more" if others else ""
        last = f"{_shown(first.where)} {_shown(first.then)} then, {_shown(first.now)} now"
        yield Check("last digits", None, f"{last}{more}")
    if compare.other_processor(record, now):
        yield Check("processor", None, "is another one: last digits may differ")
    for one in compare.other_versions(record, now):
        yield Check(one.where, None, f"{_shown(one.then)} then, {_shown(one.now)} now")
    yield from _calls(record, file, settings, compare.other_processor(record, now))


def _calls(record: dict[str, Any], file: str, settings: Any, elsewhere: bool) -> Iterator[Check]:
    """The tools that a model called, called again; on another processor digests may differ."""
    from bonafide.report.from_dict import from_dict

    added = from_dict(record).explained if record.get("explained") else None
    if added is None or not added.steps:
        return
    from bonafide.batch.instruments import replay
    from bonafide.report.explained import called

    again = replay(file, settings, added.steps)
    for step, result, equal in again:
        if not equal:
            told = f"SHA-256 {step.digest} then, {result.digest} now"
            yield Check(_shown(called(step)), None if elsewhere else False, told)
    if all(equal for _, _, equal in again):
        yield Check("tools", True, f"{len(again)} tool calls of the model, made again")


def _shown(value: Any) -> str:
    from bonafide.report.wording import one_line

    return one_line(value if isinstance(value, str) else json.dumps(value, default=str), 120)
