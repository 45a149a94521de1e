"""Millions of files: names that are never held at once, results that survive a kill.

`names` and `listing` turn what the user gives into names; `work` examines one; `run` spreads them
over the cores of this machine, `cluster` over those of many; `journal` remembers what is done.
"""
