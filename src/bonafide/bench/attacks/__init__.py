"""Attacks on the answers: one file each, with what its attacker knows and may change.

An attack gets a picture and a `Target` that answers and counts. It must not read the target's
networks, and never the label of the picture: what it is to bring about stands in its `Goal`. The
attack that takes gradients, and with them PyTorch, lies in `bonafide.train.surrogate`.
"""
