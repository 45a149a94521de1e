"""Whose signatures count: the trust lists that ship, and those that the user added.

Nothing here reads media or uses the network by itself; `update` fetches an address only when it is
called with one. The shipped lists are copies with their source and checksum in `snapshot/`.
"""
