"""Detectors of pictures made whole by a generator; one file is one detector.

They never import each other; shared mathematics belongs in `bonafide.signals`.
"""
