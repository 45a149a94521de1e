"""Findings and verdict put into words."""
