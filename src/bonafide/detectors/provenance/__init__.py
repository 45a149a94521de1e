"""Readers of what the file says about itself; one file is one detector.

They never import each other; shared mathematics belongs in `bonafide.signals`.
"""
