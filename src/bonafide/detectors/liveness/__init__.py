"""Detectors of presentation attacks: prints, screens and masks before the camera.

They never import each other; shared mathematics belongs in `bonafide.signals`.
"""
