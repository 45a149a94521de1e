"""Catalogues, the language of a reader, and numbers as that language writes them.

Everything that is stored stays English: reports, their sentences, ids, JSON. Who renders a report
or a page calls `gettext` for a message and `told` for a sentence of a report. Nothing here knows a
detector, a report or a page.
"""
