"""What a training was told, as a YAML file that each run writes and that runs it again.

Paths are relative to the folder of the file, so that a folder can move as a whole.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from bonafide import __version__
from bonafide.errors import InvalidInput
from bonafide.files import atomic_write

NAME = "run.yaml"
# Key of the file → (its parameter of the verb, its type, whether it names files).
KEYS: Mapping[str, tuple[str, type, bool]] = {
    "method": ("method", str, False),
    "data": ("data", str, True),
    "pairs": ("pairs", list, True),
    "through": ("decoders", list, False),
    "protocol": ("protocol", str, False),
    "precision": ("precision", str, False),
    "workers": ("workers", int, False),
    "threads": ("threads", int, False),
    "checkpointing": ("checkpointing", bool, False),
    "log": ("trackers", list, False),
    "half": ("half", bool, False),
}


def read(path: Path) -> tuple[dict[str, Any], list[str]]:
    """Parameters of the verb, and its settings as "name=value" texts.

    Raises:
        InvalidInput: the file cannot be read, or says something that no training can be told.
    """
    try:
        found = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise InvalidInput(f"{path} is no table of settings")
    found.pop("bonafide", None)
    settings = found.pop("set", {}) or {}
    unknown = sorted(map(str, set(found) - set(KEYS)))
    if unknown or not isinstance(settings, dict):
        raise InvalidInput(
            f"{path}: {', '.join(unknown) or 'set'} means nothing here; there are: "
            f"{', '.join(KEYS)}, and set with settings by name"
        )
    parameters: dict[str, Any] = {}
    for key, value in found.items():
        name, kind, files = KEYS[key]
        if not isinstance(value, kind):
            raise InvalidInput(f"{path}: {key} must be {_words(kind)}, not {value!r}")
        parameters[name] = value
        if files and isinstance(value, list):
            parameters[name] = [_there(path, one) for one in value]
        elif files:
            parameters[name] = _there(path, value)
    return parameters, [f"{name}={_text(value)}" for name, value in settings.items()]


def write(folder: Path, parameters: Mapping[str, Any], settings: Mapping[str, Any]) -> Path:
    """Write `folder`/run.yaml, with every setting, those of defaults too.

    Args:
        folder: of the run.
        parameters: of the verb, by name.
        settings: by name, with their types.
    """
    path = folder / NAME
    contents: dict[str, Any] = {"bonafide": __version__}
    for key, (name, kind, files) in KEYS.items():
        value = parameters[name]
        if files:
            value = [_from(path, one) for one in value] if kind is list else _from(path, str(value))
        contents[key] = list(value) if kind is list else value
    contents["set"] = {
        name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()
    }
    with atomic_write(path) as partial:
        partial.write_text(yaml.safe_dump(contents, sort_keys=False, allow_unicode=True), "utf-8")
    return path


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _there(config: Path, path: Any) -> str:
    return str(config.parent / str(path))


def _from(config: Path, path: str) -> str:
    return Path(os.path.relpath(path, config.parent)).as_posix()


def _words(kind: type) -> str:
    named = {str: "text", list: "a list", int: "a whole number", bool: "true or false"}
    return named[kind]
