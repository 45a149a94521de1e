"""Findings and verdict put into words, by rules or by a model whose statements are checked.

Nothing here changes a finding or a verdict: an explanation reads a report, and is added to it.
"""
