"""The cameras that a user enrolled: their fingerprints, kept in one folder, and how to make them.

Nothing here reads pictures beyond their luma, decides whether a picture matches, or uses the
network. What is kept identifies a camera; see `docs/privacy.md`.
"""
