"""Gaussian blurs by their definition, in float64: every output pixel sums its own neighbourhood."""

import numpy as np


def kernel(sigma):
    """Gaussian sampled on the pixels out to where nothing is left of it, sum 1."""
    radius = int(np.ceil(8 * sigma)) + 1
    offsets = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 * (offsets / sigma) ** 2) if sigma > 0 else 1.0 * (offsets == 0)
    return weights / weights.sum()


def effective_width(sigma):
    """Standard deviation of the sampled kernel."""
    weights = kernel(sigma)
    radius = len(weights) // 2
    return np.sqrt(np.sum(np.arange(-radius, radius + 1) ** 2 * weights))


def varying_blur(image, sigma):
    """Phi(u) = sum_v g_{sigma(u)}(v - u) x(v), borders reflected as d c b a | a b c d, for an (h, w, c) image."""
    height, width, _ = image.shape
    reach = int(np.ceil(8 * np.max(sigma))) + 1
    padded = np.pad(image.astype(np.float64), ((reach, reach), (reach, reach), (0, 0)), mode="symmetric")
    result = np.empty(image.shape)
    for row in range(height):
        for column in range(width):
            weights = kernel(sigma[row, column])
            radius = len(weights) // 2
            window = padded[
                row + reach - radius : row + reach + radius + 1,
                column + reach - radius : column + reach + radius + 1,
            ]
            result[row, column] = np.tensordot(np.outer(weights, weights), window, axes=2)
    return result


def blur(image, sigma):
    """The same with one sigma for all pixels, one direction after the other."""
    weights = kernel(sigma)
    radius = len(weights) // 2
    result = image.astype(np.float64)
    for axis in (0, 1):
        widths = [(radius, radius) if axis == a else (0, 0) for a in range(result.ndim)]
        padded = np.pad(result, widths, mode="symmetric")
        result = sum(w * np.take(padded, np.arange(k, k + image.shape[axis]), axis) for k, w in enumerate(weights))
    return result
