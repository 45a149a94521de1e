"""A-contrario tests: how many false alarms chance alone would give.

Source: A. Desolneux, L. Moisan, J.-M. Morel, "From Gestalt Theory to Image Analysis", 2008.
"""

from __future__ import annotations

import math

from bonafide.signals.heavy import scipy


def log10_binomial_tail(successes: float, trials: float, probability: float) -> float:
    """log10 of P[B(trials, probability) ≥ successes].

    Args:
        successes: k, in [0, trials].
        trials: n ≥ 0; need not be whole, the beta function interpolates.
        probability: p in (0, 1).

    Returns:
        A value ≤ 0. Where the tail underflows, Hoeffding's upper bound stands in for it.
    """
    if successes <= 0:
        return 0.0
    if successes > trials:
        return -math.inf
    tail = float(scipy.special.betainc(successes, trials - successes + 1, probability))
    if tail > 1e-280:
        return math.log10(tail)
    rate = min(successes / trials, 1.0)
    bound = trials * (
        rate * math.log(probability / rate)
        + ((1 - rate) * math.log((1 - probability) / (1 - rate)) if rate < 1 else 0.0)
    )
    return bound / math.log(10)


def log10_false_alarms(
    log10_tests: float, successes: float, trials: float, probability: float
) -> float:
    """log10 of the number of false alarms: tests × binomial tail. Below 0 means under one."""
    return log10_tests + log10_binomial_tail(successes, trials, probability)
