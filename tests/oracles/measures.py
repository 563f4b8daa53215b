"""Measures of masks, one pixel, one image and one draw at a time."""

import math

import numpy as np
from scipy import ndimage


def blurred(image, sigma=10.0):
    """Every channel under a Gaussian with reflected borders."""
    return np.stack(
        [ndimage.gaussian_filter(image[..., c].astype(float), sigma, mode="reflect", truncate=6) for c in range(3)], -1
    )


def composite(image, fill, salient):
    """The image with the salient pixels taken from `fill`."""
    result = image.astype(float).copy()
    for y, x in zip(*np.nonzero(salient), strict=True):
        result[y, x] = fill[y, x]
    return result


def order_of(importance):
    """Pixels (y, x), the most important first; equal ones by their distance to the centre, then in reading order."""
    height, width = importance.shape
    pixels = [(y, x) for y in range(height) for x in range(width)]
    return sorted(pixels, key=lambda p: (-importance[p], math.hypot(p[0] - (height - 1) / 2, p[1] - (width - 1) / 2)))


def curves(score, image, importance, steps):
    """Scores while the pixels go from the image, and while they come to the blurred image."""
    order, fill = order_of(importance), blurred(image)
    deletion, insertion = [], []
    for step in range(steps + 1):
        first = np.zeros(importance.shape, bool)
        for pixel in order[: round(step * len(order) / steps)]:
            first[pixel] = True
        deletion.append(score(composite(image, fill, first)))
        insertion.append(score(composite(image, fill, ~first)))
    return np.array(deletion), np.array(insertion)


def share_inside(salient, boxes):
    """Share of the salient pixels whose centre is in a box."""
    inside = total = 0
    for y, x in zip(*np.nonzero(salient), strict=True):
        total += 1
        inside += any(bx <= x + 0.5 < bx + bw and by <= y + 0.5 < by + bh for bx, by, bw, bh in boxes)
    return inside / total


def rank_correlation(first, second):
    """Pearson's correlation of ranks, equal values sharing their mean rank; ranks by counting."""

    def ranks(values):
        values = values.ravel()
        return np.array([np.sum(values < v) + (np.sum(values == v) + 1) / 2 for v in values])

    a, b = ranks(first), ranks(second)
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / math.sqrt((a * a).sum() * (b * b).sum()))
