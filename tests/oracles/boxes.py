"""Box overlap by counting pixels."""

import numpy as np


def pixels(box, size=64):
    """The pixels of a box as a boolean image."""
    image = np.zeros((size, size), dtype=bool)
    x, y, w, h = box
    image[y : y + h, x : x + w] = True
    return image


def intersection(first, second):
    """Pixels that every pair shares."""
    return np.array([[(pixels(a) & pixels(b)).sum() for b in second] for a in first])


def union(first, second):
    """Pixels that one or the other of every pair covers."""
    return np.array([[(pixels(a) | pixels(b)).sum() for b in second] for a in first])
