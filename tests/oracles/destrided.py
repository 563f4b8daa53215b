"""The signal that comes back through a convolution with stride as if it had none; float64, one window at a time."""

from fractions import Fraction

import numpy as np


def nearest(size: int, resized: int) -> list[int]:
    """For each pixel of a resized row, the pixel whose centre is nearest; of two, the one behind."""

    def distance(own: int, other: int) -> Fraction:
        return abs(Fraction(2 * own + 1, 2 * resized) - Fraction(2 * other + 1, 2 * size))

    return [min(reversed(range(size)), key=lambda other: distance(own, other)) for own in range(resized)]


def backward(shape: tuple[int, ...], kernel: np.ndarray, upstream: np.ndarray, *, pads) -> np.ndarray:
    """Add the kernel, weighted with the nearest signal, wherever its window fits; then keep the signal's sum."""
    kernel_h, kernel_w, per_group, outputs = kernel.shape
    per_group_out = outputs // (shape[-1] // per_group)
    (top, bottom), (left, right) = pads
    padded = np.zeros((shape[0], shape[1] + top + bottom, shape[2] + left + right, shape[3]))
    full_h, full_w = padded.shape[1] - kernel_h + 1, padded.shape[2] - kernel_w + 1
    rows, columns = nearest(upstream.shape[1], full_h), nearest(upstream.shape[2], full_w)
    for image, row, column, output in np.ndindex(shape[0], full_h, full_w, outputs):
        first = output // per_group_out * per_group
        signal = upstream[image, rows[row], columns[column], output]
        padded[image, row : row + kernel_h, column : column + kernel_w, first : first + per_group] += (
            signal * kernel[..., output]
        )
    share = upstream.shape[1] * upstream.shape[2] / (full_h * full_w)
    return share * padded[:, top : top + shape[1], left : left + shape[2]]
