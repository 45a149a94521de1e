"""Who and what can be followed through a media: faces with their tracks, and shots.

It finds and follows; it never judges whether what it found is genuine.
"""
