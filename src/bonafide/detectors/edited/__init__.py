"""Detectors of parts changed after capture; one file is one detector.

They never import each other; shared mathematics belongs in `bonafide.signals`.
"""
