"""Local offset matching in vectorised NumPy, float32: what a good program does without a compiler.

An image is a pair (boxes, whitened descriptors) without padding. Written from the description of the method.
"""

import numpy as np

from vissum_jax.matching import MatchingConfig

Image = tuple[np.ndarray, np.ndarray]


def placement(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centres and areas."""
    boxes = boxes.astype(np.float32)
    return boxes[:, :2] + boxes[:, 2:] / 2, boxes[:, 2] * boxes[:, 3]


def lom(first: Image, second: Image, config: MatchingConfig) -> np.ndarray:
    """Scores of all pairs of boxes."""
    (boxes, features), (others, other_features) = first, second
    wider, taller = others[:, 2] * boxes[:, 3, None], others[:, 3] * boxes[:, 2, None]
    appearance = np.maximum(features @ other_features.T, 0)
    appearance *= (wider < config.max_aspect_ratio * taller) & (taller < config.max_aspect_ratio * wider)
    best, confidence = appearance.argmax(axis=1), appearance.max(axis=1)
    (centre, area), (other_centre, other_area) = placement(boxes), placement(others)
    offset = np.column_stack([centre - other_centre[best], area / other_area[best]])

    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum((boxes[:, :2] + boxes[:, 2:])[:, None], (boxes[:, :2] + boxes[:, 2:])[None])
    neighbour = (high > low).all(axis=-1) & (confidence > 0)[None]
    median = np.ones((len(boxes), 3), np.float32)
    epsilon = np.float32([config.median_epsilon, config.median_epsilon, config.median_scale_epsilon])
    for _ in range(config.median_steps):
        for k in range(3):
            weights = neighbour / (np.abs(offset[None, :, k] - median[:, None, k]) + epsilon[k])
            total = weights.sum(axis=1)
            median[:, k] = np.where(total > 0, weights @ offset[:, k] / np.where(total > 0, total, 1), 0)

    shift = centre[:, None] - other_centre[None] - median[:, None, :2]
    distance = np.sqrt((shift**2).sum(axis=-1))
    scale_distance = np.abs(area[:, None] / other_area[None] - median[:, 2:])
    support = neighbour @ confidence / (confidence.sum() or 1)
    agreement = np.exp(-config.offset_weight * distance - config.scale_weight * scale_distance)
    return appearance * agreement * support[:, None]
