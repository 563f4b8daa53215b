"""The papers' mask optimisation in plain float64 NumPy, gradients derived by hand, one image at a time."""

import numpy as np
from oracles.blur import blur, effective_width
from scipy.optimize import brentq


class Network:
    """logits = C tanh(A vec(x) + b), with the gradient of a class's softmax probability by the chain rule."""

    def __init__(self, A, b, C):
        self.A, self.b, self.C = (np.asarray(a, np.float64) for a in (A, b, C))

    def probability(self, image, class_index):
        """The class's probability and its gradient in the image."""
        hidden = np.tanh(self.A @ image.ravel() + self.b)
        logits = self.C @ hidden
        p = np.exp(logits - logits.max())
        p /= p.sum()
        to_logits = p[class_index] * ((np.arange(len(p)) == class_index) - p)
        to_hidden = self.C.T @ to_logits * (1 - hidden**2)
        return p[class_index], (self.A.T @ to_hidden).reshape(image.shape)


def total_variation(field, exponent):
    """Mean |row difference|^beta + mean |column difference|^beta."""
    height, width = field.shape
    rows = [abs(field[i + 1, j] - field[i, j]) ** exponent for i in range(height - 1) for j in range(width)]
    columns = [abs(field[i, j + 1] - field[i, j]) ** exponent for i in range(height) for j in range(width - 1)]
    return np.mean(rows) + np.mean(columns)


def total_variation_gradient(field, exponent):
    """Its gradient."""
    gradient = np.zeros(field.shape)
    for axis in (0, 1):
        difference = np.diff(field, axis=axis)
        slope = exponent * np.abs(difference) ** (exponent - 1) * np.sign(difference) / difference.size
        widths = [(0, 0), (0, 0)]
        widths[axis] = (1, 0)
        gradient += np.pad(slope, widths)
        widths[axis] = (0, 1)
        gradient -= np.pad(slope, widths)
    return gradient


def interpolation(size, grid):
    """Corner-aligned linear interpolation, column by column with np.interp."""
    places = np.linspace(0, grid - 1, size)
    return np.stack([np.interp(places, np.arange(grid), unit) for unit in np.eye(grid)], axis=1)


def truncated_blur(image, sigma, radius):
    """Gaussian of 2 radius + 1 taps, renormalised, reflected borders."""
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    weights /= weights.sum()
    for axis in (0, 1):
        widths = [(0, 0)] * image.ndim
        widths[axis] = (radius, radius)
        padded = np.pad(image, widths, mode="symmetric")
        image = np.apply_along_axis(lambda line: np.convolve(line, weights, mode="valid"), axis, padded)
    return image


class Blend:
    """m x + (1 - m) b."""

    def __init__(self, image, sigma, radius):
        self.image, self.blurred = image, truncated_blur(image, sigma, radius)

    def apply(self, mask):
        """The perturbed image and, per pixel and channel, its derivative in the mask."""
        return mask[..., None] * self.image + (1 - mask[..., None]) * self.blurred, self.image - self.blurred


class VaryingBlur:
    """The scale space of `vissum_jax.ops.blur`, by its description: four-point Catmull-Rom at each pixel.

    That the scale space approximates the varying blur is tested elsewhere; optimisation amplifies the
    difference, so this oracle interpolates too.
    """

    def __init__(self, image, sigma_max, levels, onset):
        self.sigma_max, self.levels, self.onset = sigma_max, levels, onset
        self.step = np.arcsinh(sigma_max / onset) / (levels - 1)
        widths = onset * np.sinh(self.step * np.arange(1, levels + 1))
        sigmas = [brentq(lambda s, w=w: effective_width(s) - w, 0.12, 2 * w + 1, xtol=1e-13) for w in widths]
        self.stack = np.stack([image] + [blur(image, s) for s in sigmas])

    def value(self, sigma):
        """The blurred image at a width per pixel."""
        squares = np.arange(-150, 151) ** 2  # even in sigma
        with np.errstate(divide="ignore", invalid="ignore"):
            samples = np.where(squares == 0, 1.0, np.exp(-0.5 * squares / sigma[..., None] ** 2))
        width = np.sqrt(np.sum(squares * samples, axis=-1) / np.sum(samples, axis=-1))
        position = np.arcsinh(width / self.onset) / self.step
        k = np.minimum(position.astype(int), self.levels - 2)
        t = (position - k)[..., None]
        rows, columns = np.indices(sigma.shape)
        p0, p1, p2, p3 = (self.stack[abs(k + d), rows, columns] for d in (-1, 0, 1, 2))
        return p1 + 0.5 * t * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0)))

    def apply(self, mask, step=1e-5):
        """The perturbed image and its derivative in the mask, by central differences in the width."""
        sigma = self.sigma_max * (1 - mask)
        slope = (self.value(sigma + step) - self.value(sigma - step)) / (2 * step)
        return self.value(sigma), -self.sigma_max * slope


def disc(side, radius):
    """0 inside a centred disc, 1 outside."""
    result = np.ones((side, side))
    for i, j in np.ndindex(side, side):
        if ((i + 0.5) / side - 0.5) ** 2 + ((j + 0.5) / side - 0.5) ** 2 < radius**2:
            result[i, j] = 0
    return result


def quantised(mask):
    """The mask after s = 1 - (m - min m) / max m was stored with 8 bits; also its distance from a rounding edge."""
    levels = 255 * (1 - (mask - mask.min()) / mask.max())
    inside = levels[(levels > 0) & (levels < 255)]
    margin = np.abs(inside - np.round(inside)).min() if inside.size else 0.5
    return 1 - np.floor(levels) / 255, margin


def minimise(network, image, class_index, phases, perturbation, disc_radius, learning_rate=0.1):
    """The mask after all phases, and the margin of the quantisation."""
    side = image.shape[0]
    mask, margin = disc(side, disc_radius), np.inf
    for number, phase in enumerate(phases):
        carry = np.eye(side)
        values = mask
        if phase["grid"]:
            carry = interpolation(side, phase["grid"])
            values = disc(phase["grid"], disc_radius)
        elif number and phase["quantise_start"]:
            values, margin = quantised(mask)
        first, second = np.zeros(values.shape), np.zeros(values.shape)
        for t in range(1, phase["iterations"] + 1):
            pixels = carry @ values @ carry.T
            seen = blur(pixels, phase["smoothing_sigma"]) if phase["smoothing_sigma"] else pixels
            perturbed, slope = perturbation.apply(seen)
            _, to_image = network.probability(perturbed, class_index)
            gradient = carry.T @ np.sum(to_image * slope, axis=-1) @ carry  # the smoothing is passed straight
            gradient -= phase["area_weight"] * np.sign(1 - values) / values.size
            gradient += phase["tv_weight"] * total_variation_gradient(values, phase["tv_exponent"])
            product = values * (1 - values)
            gradient += phase["crisp_weight"] * np.sign(product) * (1 - 2 * values) / values.size
            first = 0.9 * first + 0.1 * gradient
            second = 0.999 * second + 0.001 * gradient**2
            update = (first / (1 - 0.9**t)) / (np.sqrt(second / (1 - 0.999**t)) + 1e-8)
            values = np.clip(values - learning_rate * update, 0, 1)
        mask = carry @ values @ carry.T
    smoothing = phases[-1]["smoothing_sigma"]
    return blur(mask, smoothing) if smoothing else mask, margin
