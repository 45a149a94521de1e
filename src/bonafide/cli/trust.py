"""The verbs of `bonafide trust`: whose signatures of content credentials count."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bonafide.trust.lists import Purpose, Tier, TrustList

_PURPOSES = {
    "claims": Purpose.CLAIMS,
    "time-stamps": Purpose.TIME_STAMPS,
    "identities": Purpose.IDENTITIES,
}
_WORDS = {purpose: name.replace("-", " ") for name, purpose in _PURPOSES.items()}
_tiers = click.argument(
    "tiers", nargs=-1, metavar="[TIER]...", type=click.Choice(["official", "interim", "own"])
)


@click.group()
def trust() -> None:
    """Say whose content credentials (C2PA) count as trusted.

    Three tiers are in use: the official C2PA lists, the interim list (frozen at the start of 2026;
    always named as such) and certificates of your own. `--trust PEM` of `scan` replaces them all.

    \b
    bonafide trust show                   what is trusted, and until when
    bonafide trust update                 fetch the newest official lists
    bonafide trust update list.json       the same from a file
    bonafide trust add newsroom.pem       trust a certificate of your own
    bonafide trust off interim            do without a tier
    """


@trust.command()
@click.option("--names", is_flag=True, help="List every certificate.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(names: bool, as_json: bool) -> None:
    """Show what is trusted, from where, and until when."""
    from bonafide.trust.user import folder, in_use

    now = in_use()
    if as_json:
        import json

        told: dict[str, Any] = {
            "lists": [_as_dict(one) for one in now.lists],
            "off": [tier.value for tier in now.off],
            "warnings": list(now.warnings),
            "folder": str(folder()),
        }
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
        return
    for one in now.lists:
        _print(one, names)
    for tier in now.off:
        click.echo(f"{tier.value:9} off: bonafide trust on {tier.value}")
    if not now.lists:
        click.echo("nobody is trusted")
    click.echo(f"your own settings are kept in {folder()}", err=True)
    for warning in now.warnings:
        click.echo(f"warning: {warning}", err=True)


@trust.command()
@click.argument("source", required=False, metavar="[FILE|URL]")
def update(source: str | None) -> None:
    """Use a newer edition of an official list, from a FILE or an https address.

    Without either, both official lists are fetched from where the C2PA publishes them. This and an
    address are the only uses of the network. An edition that is older than the present one is
    refused.
    """
    from bonafide.errors import InvalidInput
    from bonafide.trust import user
    from bonafide.trust.download import download

    for place in [source] if source else user.OFFICIAL_ADDRESSES:
        if "://" in place:
            click.echo(f"fetching {place}", err=True)
            data = download(place)
        else:
            try:
                data = Path(place).read_bytes()
            except OSError as error:
                raise InvalidInput(f"{place} cannot be read: {error.strerror}") from None
        _print(user.update(data, place), False)


@trust.command()
@click.argument("pem", metavar="PEM", type=click.Path(exists=True, dir_okay=False))
@click.option(
    "--for",
    "purpose",
    type=click.Choice(list(_PURPOSES)),
    default="claims",
    show_default=True,
    help="What the certificates vouch for.",
)
def add(pem: str, purpose: str) -> None:
    """Trust the certificate authorities of a PEM file from now on."""
    from bonafide.trust import user

    _print(user.add(Path(pem), _PURPOSES[purpose]), True)


@trust.command()
@click.argument("name")
def remove(name: str) -> None:
    """Forget certificates that were added, by the NAME that `show` prints."""
    from bonafide.errors import InvalidInput
    from bonafide.trust import user

    if not user.remove(name):
        raise InvalidInput(f"nothing was added as {name}: see bonafide trust show")
    click.echo(f"{name} is no longer trusted")


@trust.command()
@_tiers
def off(tiers: tuple[str, ...]) -> None:
    """Do without some tiers; without TIER, trust nobody."""
    from bonafide.trust import user

    user.switch([Tier(tier) for tier in tiers] or user.SWITCHES, off=True)
    click.echo(f"off: {', '.join(tier.value for tier in user.switched_off())}")


@trust.command()
@_tiers
def on(tiers: tuple[str, ...]) -> None:
    """Use tiers again that were switched off; without TIER, all."""
    from bonafide.trust import user

    user.switch([Tier(tier) for tier in tiers] or user.SWITCHES, off=False)
    left = ", ".join(tier.value for tier in user.switched_off())
    click.echo(f"off: {left or 'none'}")


def _print(one: TrustList, names: bool) -> None:
    certificates = one.certificates()
    edition = f", edition {one.sequence}" if one.sequence else ""
    dates = f" of {one.issued[:10]}" if one.issued else ""
    until = f", to be replaced by {one.next_update[:10]}" if one.next_update else ""
    overdue = " (overdue)" if one.overdue() else ""
    frozen = ", frozen" if one.tier is Tier.INTERIM else ""
    click.echo(f"{one.tier.value:9} {one.name}{edition}{dates}{until}{overdue}{frozen}")
    click.echo(f"          {len(certificates)} certificates for {_WORDS[one.purpose]}")
    click.echo(f"          {one.source}  sha256 {one.sha256[:16]}…")
    if names:
        for certificate in certificates:
            by = certificate.subject.get("O", "")
            until = f"{certificate.not_after:%Y-%m-%d}" if certificate.not_after else "?"
            click.echo(_one_line(f"          until {until}  {certificate.name} · {by}"))


def _one_line(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)


def _as_dict(one: TrustList) -> dict[str, Any]:
    return {
        "name": one.name,
        "tier": one.tier.value,
        "purpose": one.purpose.value,
        "sequence": one.sequence,
        "issued": one.issued,
        "next_update": one.next_update,
        "overdue": one.overdue(),
        "source": one.source,
        "sha256": one.sha256,
        "certificates": [
            {"subject": certificate.subject, "until": str(certificate.not_after or "")}
            for certificate in one.certificates()
        ],
    }
