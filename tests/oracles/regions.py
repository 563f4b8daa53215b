"""Connected components by flood fill."""

import numpy as np


def regions(salient):
    """8-connected components: labels and their count."""
    labels = np.zeros(salient.shape, dtype=int)
    count = 0
    for start in zip(*np.nonzero(salient), strict=True):
        if labels[start]:
            continue
        count += 1
        labels[start] = count
        stack = [start]
        while stack:
            y, x = stack.pop()
            for v in range(max(y - 1, 0), min(y + 2, salient.shape[0])):
                for u in range(max(x - 1, 0), min(x + 2, salient.shape[1])):
                    if salient[v, u] and not labels[v, u]:
                        labels[v, u] = count
                        stack.append((v, u))
    return labels, count
