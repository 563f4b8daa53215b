"""Footprint averaging by summing very fine samples of the piecewise constant source."""

import numpy as np


def sampling_matrix(start, extent, samples, rows, source, subsamples=20000):
    """Weights of each source pixel in each output value."""
    weights = np.zeros((rows, source))
    step = extent / samples
    window = max(step, 1.0)
    for i in range(rows):
        centre = start + (i + 0.5) * step
        places = centre - window / 2 + (np.arange(subsamples) + 0.5) * window / subsamples
        pixels = np.clip(np.floor(places).astype(int), 0, source - 1)
        weights[i] = np.bincount(pixels, minlength=source) / subsamples
    return weights
