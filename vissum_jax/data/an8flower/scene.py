"""Where the pieces of a flower lie and what their surfaces look like.

A piece is drawn in its own frame: u runs along it, v across it, and its surface says for every (u, v) whether
the piece covers it, where its pattern is inked, and how light falls on it. Each kind of part has its own fine
pattern, the same in every class; only the ink tells classes apart. The patterns are finer than the blur of
the masks, so that blurring a part hides the vivid ink instead of leaving a patch of the same colour.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from vissum_jax.data.an8flower.config import FlowerConfig

LIGHT_ANGLE = (-0.9, 0.9)  # sideways position of the lamp, -1 is far left and 1 is far right

Points = Float[np.ndarray, "h w"]


class Frame(NamedTuple):
    """Affine frame: the point (u, v) lies at origin + axes @ (u, v)."""

    origin: Float[np.ndarray, " 2"]
    axes: Float[np.ndarray, "2 2"]

    def place(self, at: tuple[float, float], angle: float, length: float, half_width: float) -> Frame:
        """A frame inside this one, at a point, turned by `angle` radians, with scaled axes."""
        cos, sin = np.cos(angle), np.sin(angle)
        axes = np.array([[length * cos, -half_width * sin], [length * sin, half_width * cos]])
        return Frame(self.origin + self.axes @ np.array(at), self.axes @ axes)


class Surface(NamedTuple):
    """What a piece looks like at points (u, v)."""

    inside: Bool[np.ndarray, "h w"]
    ink: Bool[np.ndarray, "h w"]
    shade: Points


class Piece(NamedTuple):
    """One thing to paint; `bounds` = (u low, u high, v low, v high) encloses it."""

    part: str
    frame: Frame
    surface: Callable[[Points, Points], Surface]
    bounds: tuple[float, float, float, float]
    tone: float


def petal(u: Points, v: Points) -> Surface:
    """Rounded, widest beyond its middle; stripes along it."""
    along = np.clip(u, 0.0, 1.0)
    width = (1.0 - (2.0 * along**1.35 - 1.0) ** 2) ** 0.55
    across = np.abs(v) / np.maximum(width, 1e-3)
    shade = (0.8 + 0.22 * along - 0.1 * across**2) * np.where(across > 0.93, 0.86, 1.0)
    return Surface((across <= 1.0) & (width > 0), np.cos(3.0 * np.pi * across) > -0.15, shade)


def core(u: Points, v: Points, *, light: float) -> Surface:
    """A dome of seeds in a sunflower's spiral."""
    radius = np.hypot(u, v)
    seed = np.arange(1, 56)
    seed_radius, seed_angle = np.sqrt(seed / 55.0) * 0.95, seed * np.pi * (3.0 - np.sqrt(5.0))
    nearest = np.full(u.shape, np.inf, dtype=u.dtype)
    for x, y in zip(seed_radius * np.cos(seed_angle), seed_radius * np.sin(seed_angle), strict=True):
        np.minimum(nearest, (u - np.float32(x)) ** 2 + (v - np.float32(y)) ** 2, out=nearest)
    dome = np.sqrt(np.clip(1.0 - radius**2, 0.0, 1.0))
    return Surface(radius <= 1.0, nearest < 0.092**2, 0.62 + 0.38 * dome + 0.12 * light * u)


def stem(u: Points, v: Points, *, bend: float) -> Surface:
    """A bowed rod; inked on its shadowy side."""
    across = v - bend * 4.0 * u * (1.0 - u)
    return Surface((np.abs(across) <= 1.0) & (u >= 0) & (u <= 1), across > 0.2, 1.0 - 0.3 * across**2)


def leaf(u: Points, v: Points) -> Surface:
    """Pointed, widest before its middle; stripes along the side veins."""
    along = np.clip(u, 0.0, 1.0)
    width = along**0.45 * (1.0 - along) ** 0.6 / 0.488
    across = np.abs(v) / np.maximum(width, 1e-3)
    veins = np.cos(2.0 * np.pi * (5.0 * along - 1.3 * np.abs(v))) > -0.15
    rib = np.abs(v) < 0.06
    shade = np.where(v < 0, 1.0, 0.86) * np.where(rib | (across > 0.95), 0.82, 1.0)
    return Surface((across <= 1.0) & (width > 0), veins & ~rib, shade)


def pot(u: Points, v: Points, *, light: float) -> Surface:
    """A tapering pot with a rim; zigzag bands below the rim."""
    rim = 0.2
    body = np.clip((u - rim) / (1.0 - rim), 0.0, 1.0)
    width = np.where(u < rim, 1.0, 0.9 - 0.24 * body)
    across = v / width
    zigzag = np.abs(np.mod(2.5 * v, 1.0) - 0.5)
    bands = np.cos(2.0 * np.pi * (4.6 * u + 0.9 * zigzag)) > -0.1
    shade = 0.72 + 0.28 * np.cos(1.25 * (across - 0.6 * light))
    shade = shade * np.where((u > rim) & (u < rim + 0.07), 0.72, 1.0)
    return Surface((np.abs(across) <= 1.0) & (u >= 0) & (u <= 1), bands, shade)


def arrange(rng: np.random.Generator, light: float, config: FlowerConfig) -> list[Piece]:
    """Draw a plant's pose: its pieces in painting order, in a picture of unit side."""
    uniform = rng.uniform
    centre = np.array([0.5, 0.5]) + uniform(*config.shift, size=2)
    plant = Frame(centre, np.eye(2)).place(
        (0.0, 0.0), np.radians(uniform(*config.roll)), *(uniform(*config.scale),) * 2
    )
    pot_height, pot_width = uniform(*config.pot_height), uniform(*config.pot_width)
    pot_top, head_y = 0.45 - pot_height, -0.2
    head_x, bend = uniform(*config.lean), uniform(*config.bend)

    stem_vector = np.array([head_x, head_y - pot_top])
    stem_length, stem_angle, stem_width = np.hypot(*stem_vector), np.arctan2(*stem_vector[::-1]), 0.012
    stem_frame = plant.place((0.0, pot_top), stem_angle, stem_length, stem_width)
    pieces = [
        Piece("stem", stem_frame, partial(stem, bend=bend / stem_width), (0, 1, *_stem_sides(bend / stem_width)), 1.0)
    ]
    for side in (-1, 1):
        height = uniform(0.1, 0.26)
        root = pot_top * (1 - height) + head_y * height
        bow = bend * 4.0 * height * (1.0 - height)
        angle = np.radians(uniform(*config.leaf_angle))
        length = uniform(*config.leaf_length)
        frame = plant.place(
            (head_x * height + bow, root),
            -angle if side > 0 else np.pi + angle,
            length,
            side * length * uniform(*config.leaf_width),
        )
        pieces.append(Piece("leaves", frame, leaf, (0, 1, -1.05, 1.05), uniform(0.92, 1.05)))
    pot_frame = plant.place((0.0, pot_top), np.pi / 2, pot_height, -pot_width)
    pieces.append(Piece("pot", pot_frame, partial(pot, light=light), (0, 1, -1, 1), 1.0))

    view = uniform(0.0, np.pi)
    head = plant.place((head_x, head_y), view, 1.0, uniform(*config.foreshortening))
    count = int(rng.integers(config.petal_count[0], config.petal_count[1] + 1))
    radius, length = uniform(*config.core_radius), uniform(*config.petal_length)
    turn = uniform(0.0, 2.0 * np.pi)
    half_width = np.pi / count * (radius + 0.5 * length) * uniform(*config.petal_width)
    # Every second petal first, so that the others lie in front.
    for number in (*range(0, count, 2), *range(1, count, 2)):
        angle = turn + 2.0 * np.pi * number / count + uniform(-0.06, 0.06)
        root = (0.7 * radius * np.cos(angle), 0.7 * radius * np.sin(angle))
        frame = head.place(root, angle, length + 0.3 * radius, half_width)
        pieces.append(Piece("petals", frame, petal, (0, 1, -1.05, 1.05), uniform(0.93, 1.06)))
    pieces.append(
        Piece("core", head.place((0.0, 0.0), -view, radius, radius), partial(core, light=light), (-1, 1, -1, 1), 1.0)
    )
    return pieces


def _stem_sides(bend: float) -> tuple[float, float]:
    """Bounds across a stem that bows by `bend` half widths."""
    return min(0.0, bend) - 1.0, max(0.0, bend) + 1.0
