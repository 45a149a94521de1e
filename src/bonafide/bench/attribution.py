"""How well forgers are told apart, those that had a name in training and new ones.

Classes that a method gives have no names. They are matched with the true forgers one to one so that
most files are right (the Hungarian method), over all files together, as open-world attribution is
scored.

Source: Z. Sun et al., "Contrastive Pseudo Learning for Open-World DeepFake Attribution", ICCV 2023;
H. Kuhn, "The Hungarian Method for the Assignment Problem", 1955.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from bonafide.errors import InvalidInput


@dataclass(frozen=True)
class Attribution:
    """Shares of files that were attributed rightly, in [0, 1]; NaN where there are none.

    Attributes:
        every: of all files.
        known: of forgers that had a name in training.
        novel: of the others.
        information: normalised mutual information of classes and forgers.
        rand: adjusted Rand index, 0 for chance.
    """

    every: float
    known: float
    novel: float
    information: float
    rand: float


def attribution(truth: Sequence[str], found: Sequence[int], known: Collection[str]) -> Attribution:
    """Score the classes that were given to files.

    Args:
        truth: forger of each file.
        found: class that each file was given.
        known: forgers that had a name in training.

    Raises:
        InvalidInput: there is no file, or the lengths differ.
    """
    if not truth or len(truth) != len(found):
        raise InvalidInput("attribution needs one class for each of the files")
    names, true = np.unique(np.asarray(truth), return_inverse=True)
    classes, given = np.unique(np.asarray(found), return_inverse=True)
    table = np.zeros((len(names), len(classes)), np.int64)
    np.add.at(table, (true, given), 1)
    matched = dict(zip(*linear_sum_assignment(table, maximize=True), strict=True))
    right = np.array(
        [matched.get(one, -1) == other for one, other in zip(true, given, strict=True)]
    )
    old = np.isin(np.asarray(truth), list(known))
    return Attribution(
        every=float(right.mean()),
        known=float(right[old].mean()) if old.any() else float("nan"),
        novel=float(right[~old].mean()) if not old.all() else float("nan"),
        information=float(normalized_mutual_info_score(true, given)),
        rand=float(adjusted_rand_score(true, given)),
    )
