"""Detectors of forged faces; one file is one detector.

They never import each other; shared mathematics belongs in `bonafide.signals`.
"""
