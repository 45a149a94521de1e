"""ONNX Runtime, imported so that it sends and keeps nothing.

From version 1.32 on, importing it on Linux writes an identifier of the device and a database of
events below the user's cache folder, and starts to send them. The variable ORT_DISABLE_TELEMETRY
prevents that, if it is set before the import; `disable_telemetry_events` comes too late.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

VARIABLE = "ORT_DISABLE_TELEMETRY"


def library() -> Any:
    """The module `onnxruntime`; every import of it goes through here.

    Raises:
        ImportError: it is not installed.
    """
    os.environ[VARIABLE] = "1"  # whatever it was: nothing is sent
    module = importlib.import_module("onnxruntime")
    module.disable_telemetry_events()  # for versions that know no variable
    return module
