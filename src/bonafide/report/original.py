"""The file behind a stored report, as long as it is still what it was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bonafide.errors import InvalidInput, MediaError
from bonafide.media import remote
from bonafide.media.source import open_media

if TYPE_CHECKING:
    from bonafide.media.media import Media


def find_media(facts: Mapping[str, Any], given: str | None) -> tuple[Media | None, str]:
    """The examined file, to be shown, if it can be had unchanged.

    Args:
        facts: `media` of the record.
        given: where the file is; None to look where it was.

    Returns:
        A media with a picture or a video and "", or None and why there is none.

    Raises:
        InvalidInput: the file given is another one.
    """
    path = given or facts["path"]
    if path is None:
        return None, "the report does not say where the file was; give it with --file"
    if given is None and remote.is_url(path):
        return None, "the file was at an address; give it with --file"
    try:
        media = open_media(path)
        if media.sha256 != facts["sha256"]:
            if given:
                raise InvalidInput(f"{given} is not the file that was examined")
            return None, "the file has been changed since"
        if media.image is not None:
            _ = media.image.pixels
        elif media.video is None:
            return None, f"the file is a {media.kind}"
        return media, ""
    except MediaError as error:
        if given:
            raise InvalidInput(str(error)) from None
        return None, error.why
