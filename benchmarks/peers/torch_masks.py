"""The papers' mask optimisation in PyTorch, written from its description: as published, and as well as PyTorch does it.

Both minimise the objective of a `PhasedConfig` (VS 3.1) with a blend as perturbation. The *published* loop takes one
image at a time and brings the mask to the host on every smoothed step, where SciPy blurs it. The *strong* version takes
a batch, stays on the device, and blurs by matrix products.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional

from vissum_jax.masks.config import PhaseConfig, PhasedConfig
from vissum_jax.masks.perturbation import BlurBlend
from vissum_jax.masks.phased import initial_mask

Logits = Callable[[torch.Tensor], torch.Tensor]
Smooth = Callable[[torch.Tensor], torch.Tensor]


class Photograph(NamedTuple):
    """Images and what replaces them under a mask, (b, 3, h, w) in [0, 1]."""

    images: torch.Tensor
    blurred: torch.Tensor


def photographs(images: np.ndarray, config: PhasedConfig) -> Photograph:
    """Blur images (b, h, w, 3) once, channels-last."""
    blend = config.perturbation
    if not isinstance(blend, BlurBlend) or blend.radius is None:
        raise ValueError(f"these peers blend with a truncated blur, got {blend}.")
    blurred = images.astype(np.float64)
    for axis in (1, 2):
        blurred = ndimage.gaussian_filter1d(blurred, blend.sigma, axis, mode="reflect", radius=blend.radius)
    return Photograph(*(_channels_last(torch.from_numpy(a.transpose(0, 3, 1, 2).copy())) for a in (images, blurred)))


def published(
    logits_of: Logits, image: Photograph, class_index: int, config: PhasedConfig, device: str = "cpu"
) -> np.ndarray:
    """The mask of one image, (h, w)."""

    def smooth_for(sigma: float) -> Smooth:
        def smooth(mask: torch.Tensor) -> torch.Tensor:
            on_host = mask.detach().cpu().numpy()[0, 0]
            return torch.from_numpy(ndimage.gaussian_filter(on_host, sigma))[None, None].to(device)

        return smooth

    return _minimise(logits_of, image, torch.tensor([class_index]), config, smooth_for, device)[0]


def strong(
    logits_of: Logits, images: Photograph, class_index: np.ndarray, config: PhasedConfig, device: str = "cpu"
) -> np.ndarray:
    """The masks of a batch, (b, h, w)."""
    height, width = images.images.shape[2:]

    def smooth_for(sigma: float) -> Smooth:
        rows, columns = (
            torch.from_numpy(ndimage.gaussian_filter1d(np.eye(size), sigma, 0).astype(np.float32)).to(device)
            for size in (height, width)
        )
        return lambda mask: rows @ mask @ columns.T

    return _minimise(logits_of, images, torch.from_numpy(class_index), config, smooth_for, device)


def _minimise(
    logits_of: Logits,
    images: Photograph,
    class_index: torch.Tensor,
    config: PhasedConfig,
    smooth_for: Callable[[float], Smooth],
    device: str,
) -> np.ndarray:
    x, blurred = (tensor.to(device) for tensor in images)
    class_index = class_index.to(device)
    count, _, height, width = x.shape
    mask = torch.from_numpy(initial_mask(height, width, config.disc_radius)).repeat(count, 1, 1, 1)
    for number, phase in enumerate(config.phases):
        if phase.grid is not None:
            start = torch.from_numpy(initial_mask(phase.grid, phase.grid, config.disc_radius))
            start = start.repeat(count, 1, 1, 1)
        else:
            start = _quantised(mask) if phase.quantise_start and number else mask
        values = start.contiguous().to(device).requires_grad_(True)
        optimiser = torch.optim.Adam([values], lr=config.optimiser.learning_rate, eps=config.optimiser.epsilon)
        smooth = smooth_for(phase.smoothing_sigma) if phase.smoothing_sigma else None
        for _ in range(phase.iterations):
            pixels = _upsampled(values, phase, height, width)
            if smooth is not None:
                pixels = pixels + (smooth(pixels.detach()) - pixels).detach()  # straight through
            perturbed = blurred + pixels * (x - blurred)
            probability = functional.softmax(logits_of(perturbed), dim=1)[torch.arange(count), class_index]
            loss = probability.sum() + _penalty(values, phase)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            with torch.no_grad():
                values.clamp_(0.0, 1.0)
        mask = _upsampled(values, phase, height, width).detach()
    smoothing = config.phases[-1].smoothing_sigma
    return (smooth_for(smoothing)(mask) if smoothing else mask)[:, 0].cpu().numpy()


def _upsampled(values: torch.Tensor, phase: PhaseConfig, height: int, width: int) -> torch.Tensor:
    if phase.grid is None:
        return values
    return functional.interpolate(values, (height, width), mode="bilinear", align_corners=True)


def _penalty(values: torch.Tensor, phase: PhaseConfig) -> torch.Tensor:
    """Sum over the images of means over their values."""
    down, across = values.diff(dim=2).abs() ** phase.tv_exponent, values.diff(dim=3).abs() ** phase.tv_exponent
    variation = down.mean(dim=(1, 2, 3)) + across.mean(dim=(1, 2, 3))
    area = (1 - values).abs().mean(dim=(1, 2, 3))
    crisp = (values * (1 - values)).abs().mean(dim=(1, 2, 3))
    return (phase.area_weight * area + phase.tv_weight * variation + phase.crisp_weight * crisp).sum()


def _quantised(mask: torch.Tensor) -> torch.Tensor:
    """After a round trip through an 8-bit image, s = 1 - (m - min m) / max m."""
    least, largest = mask.amin(dim=(1, 2, 3), keepdim=True), mask.amax(dim=(1, 2, 3), keepdim=True)
    saliency = 1 - (mask - least) / largest
    return ((255 - torch.floor(saliency * 255)) / 255).clamp(0, 1)


def _channels_last(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.float().contiguous(memory_format=torch.channels_last)
