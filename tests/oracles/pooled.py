"""A feature map averaged over a box, cell by cell."""

import numpy as np


def shares(low, extent, cells):
    """How much of an interval lies in each cell; what lies beyond the grid counts for its outermost cells."""
    if extent < 1:
        low, extent = low + extent / 2 - 0.5, 1.0
    out = np.zeros(cells)
    for cell in range(cells):
        start = -np.inf if cell == 0 else cell
        stop = np.inf if cell == cells - 1 else cell + 1
        out[cell] = max(0.0, min(low + extent, stop) - max(low, start)) / extent
    return out


def pooled(feature_map, box, height, width):
    """Mean over the box."""
    rows, columns, _ = feature_map.shape
    x, y, w, h = (float(value) for value in box)
    vertical = shares(y * rows / height, h * rows / height, rows)
    horizontal = shares(x * columns / width, w * columns / width, columns)
    total = np.zeros(feature_map.shape[2])
    for row in range(rows):
        for column in range(columns):
            total += vertical[row] * horizontal[column] * feature_map[row, column]
    return total
