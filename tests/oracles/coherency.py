"""muS with Python's sets and loops."""

import itertools


def distance(one, other):
    """Jaccard's distance; two empty sets are alike."""
    union = one | other
    return 1 - len(one & other) / len(union) if union else 0.0


def mu(tags, sets):
    """Mean over sets of rows of the mean distance of two of them; sets of fewer than two have none."""
    means = []
    for rows in sets:
        pairs = [distance(tags[a], tags[b]) for a, b in itertools.combinations(rows, 2)]
        if pairs:
            means.append(sum(pairs) / len(pairs))
    return sum(means) / len(means)
