"""Slow, obviously right versions of the kernels that networks are made of; float64, one output at a time."""

from collections.abc import Callable

import numpy as np

Pads = tuple[tuple[int, int], tuple[int, int]]


def convolve(images: np.ndarray, kernel: np.ndarray, *, stride: int, pads: Pads) -> np.ndarray:
    """Grouped cross-correlation, window by window."""
    kernel_h, kernel_w, per_group, outputs = kernel.shape
    groups = images.shape[-1] // per_group
    per_group_out = outputs // groups

    def window_sum(window: np.ndarray) -> np.ndarray:
        result = np.zeros((len(window), outputs))
        for output in range(outputs):
            first = output // per_group_out * per_group
            inputs = window[..., first : first + per_group]
            result[:, output] = (inputs * kernel[..., output]).sum(axis=(1, 2, 3))
        return result

    return _slide(images, (kernel_h, kernel_w), stride, pads, 0.0, window_sum)


def max_pool(images: np.ndarray, *, window: int, stride: int, pads: Pads) -> np.ndarray:
    """Maximum of every window."""
    return _slide(images, (window, window), stride, pads, -np.inf, lambda part: part.max(axis=(1, 2)))


def max_pool_gradient(images: np.ndarray, upstream: np.ndarray, *, window: int, stride: int, pads: Pads) -> np.ndarray:
    """Every output's gradient goes to the first maximum of its window in reading order."""
    padded = np.pad(images.astype(float), ((0, 0), *pads, (0, 0)), constant_values=-np.inf)
    gradient = np.zeros_like(padded)
    for image, row, column, channel in np.ndindex(upstream.shape):
        top, left = row * stride, column * stride
        part = padded[image, top : top + window, left : left + window, channel]
        down, right = np.unravel_index(part.argmax(), part.shape)
        gradient[image, top + down, left + right, channel] += upstream[image, row, column, channel]
    (top, bottom), (left, right) = pads
    return gradient[:, top : gradient.shape[1] - bottom, left : gradient.shape[2] - right]


def normalize(images: np.ndarray, *, window: int, alpha: float, beta: float, bias: float) -> np.ndarray:
    """Local response normalisation, channel by channel."""
    images = images.astype(float)
    result = np.empty_like(images)
    for channel in range(images.shape[-1]):
        near = images[..., max(0, channel - window // 2) : channel + window // 2 + 1]
        energy = bias + alpha / window * (near**2).sum(axis=-1)
        result[..., channel] = images[..., channel] / energy**beta
    return result


def gradient_of(
    function: Callable[[np.ndarray], np.ndarray], images: np.ndarray, upstream: np.ndarray, *, step: float = 1e-5
) -> np.ndarray:
    """Central differences of sum(upstream * function(images))."""
    images = images.astype(float)
    gradient = np.zeros_like(images)
    for index in np.ndindex(images.shape):
        ends = []
        for sign in (1, -1):
            moved = images.copy()
            moved[index] += sign * step
            ends.append((upstream * function(moved)).sum())
        gradient[index] = (ends[0] - ends[1]) / (2 * step)
    return gradient


def _slide(
    images: np.ndarray,
    size: tuple[int, int],
    stride: int,
    pads: Pads,
    border: float,
    function: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    padded = np.pad(images.astype(float), ((0, 0), *pads, (0, 0)), constant_values=border)
    rows = range(0, padded.shape[1] - size[0] + 1, stride)
    columns = range(0, padded.shape[2] - size[1] + 1, stride)
    return np.stack(
        [
            np.stack([function(padded[:, top : top + size[0], left : left + size[1]]) for left in columns], 1)
            for top in rows
        ],
        axis=1,
    )


def average_around(images: np.ndarray, *, window: int) -> np.ndarray:
    """Mean of the window around every pixel, zeros beyond the border."""
    pads = ((window // 2, window // 2), (window // 2, window // 2))
    return _slide(images, (window, window), 1, pads, 0.0, lambda part: part.mean(axis=(1, 2)))


def normalize_position(features: np.ndarray, *, scale: np.ndarray, bias: np.ndarray, epsilon: float) -> np.ndarray:
    """Layer normalisation of one position's channels."""
    features = features.astype(float)
    return (features - features.mean()) / np.sqrt(features.var() + epsilon) * scale + bias


def attend(tokens: np.ndarray, *, kernel: np.ndarray, bias: np.ndarray, heads: int) -> np.ndarray:
    """Self-attention before its output projection, head by head and token by token.

    `kernel` and `bias` give queries, then keys, then values, and within each one head after another.
    """
    queries, keys, values = np.split(tokens.astype(float) @ kernel + bias, 3, axis=-1)
    size = queries.shape[-1] // heads
    result = np.empty_like(values)
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        for place, query in enumerate(queries[:, part]):
            weights = np.exp(keys[:, part] @ query / np.sqrt(size))
            result[place, part] = weights @ values[:, part] / weights.sum()
    return result
