"""From measurements to a verdict: calibration, fusion, bounds, regions, stability.

It knows scores, cards and tables. It must not read media, and must not name any detector.
"""
