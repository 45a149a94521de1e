"""The persons that a user enrolled: protected templates, kept in one folder, keys in another.

Nothing here finds faces, decides what a match means, or uses the network. See `docs/privacy.md`.
"""
