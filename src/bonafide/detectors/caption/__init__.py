"""Tests of a caption that came with a picture: against text in the picture, and against its record.

They say nothing of pixels, and are asked only where a caption is given. Detectors never import each
other.
"""
