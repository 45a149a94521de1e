"""Measuring detectors: degradations that have names, metrics, and how sure their values are."""
