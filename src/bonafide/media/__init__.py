"""Bytes to pixels, safely: sources, limits, and the fields that detectors read."""
