"""Overlap of a heat map with a mask, pixel by pixel."""

import numpy as np


def overlaps(heat: np.ndarray, truth: np.ndarray, thresholds: np.ndarray) -> list[float]:
    """Intersection over union at each threshold, of the heat map stretched to [0, 1]."""
    low, high = heat.min(), heat.max()
    found = []
    for threshold in thresholds:
        both = either = 0
        for y in range(heat.shape[0]):
            for x in range(heat.shape[1]):
                value = (float(heat[y, x]) - float(low)) / (float(high) - float(low)) if high > low else 0.0
                hot = value >= threshold
                both += bool(hot and truth[y, x])
                either += bool(hot or truth[y, x])
        found.append(both / either)
    return found


def nearest_distance(point: tuple[int, int], truth: np.ndarray) -> float:
    """Distance of a pixel (y, x) to the nearest one of a mask."""
    return min(float(np.hypot(y - point[0], x - point[1])) for y, x in np.argwhere(truth))
