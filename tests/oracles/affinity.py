"""Affinity propagation by its two update rules, one message at a time."""

import numpy as np


def affinity_propagation(similarity, preference, damping=0.9, iterations=500):
    """The exemplar of every point."""
    s = np.array(similarity, dtype=np.float64)
    np.fill_diagonal(s, preference)
    n = len(s)
    r, a = np.zeros((n, n)), np.zeros((n, n))
    for _ in range(iterations):
        new_r, new_a = np.zeros((n, n)), np.zeros((n, n))
        for i in range(n):
            for k in range(n):
                new_r[i, k] = s[i, k] - max(a[i, j] + s[i, j] for j in range(n) if j != k)
        r = damping * r + (1 - damping) * new_r
        for i in range(n):
            for k in range(n):
                support = sum(max(0, r[j, k]) for j in range(n) if j not in (i, k))
                new_a[i, k] = support if i == k else min(0, r[k, k] + support)
        a = damping * a + (1 - damping) * new_a
    return (a + r).argmax(axis=1)
