"""Fetch a trust list over https: the one file of this folder that uses the network."""

from __future__ import annotations

import urllib.request

from bonafide.errors import InvalidInput
from bonafide.trust import lists

_TIMEOUT = 30  # seconds


def download(address: str) -> bytes:
    """Fetch a list.

    Raises:
        InvalidInput: the address is not https, cannot be reached, or gives too much.
    """
    if not address.startswith("https://"):
        raise InvalidInput(f"{address}: only https addresses are fetched")
    try:
        with urllib.request.build_opener(_OnlyHttps).open(address, timeout=_TIMEOUT) as answer:
            data: bytes = answer.read(lists.MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{address} cannot be fetched: {error}") from None
    return data


class _OnlyHttps(urllib.request.HTTPRedirectHandler):
    """Follow no redirect to an address that is not https."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        if not newurl.startswith("https://"):
            raise ValueError(f"it redirects to {newurl[:200]}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)
