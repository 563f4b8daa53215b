"""Render one flower with the truth of its parts."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from vissum_jax.data.an8flower.classes import COLOUR_HUES, PART_NAMES, FlowerClass
from vissum_jax.data.an8flower.config import FlowerConfig, Range
from vissum_jax.data.an8flower.scene import LIGHT_ANGLE, Piece, arrange

Colour = Float[np.ndarray, " 3"]

_NEUTRAL_HUES: dict[str, Range] = {"stem": (75.0, 130.0), "leaves": (75.0, 130.0)}  # other parts: any hue
_INK_CONTRAST = (0.72, 0.9)  # value of a neutral part's pattern relative to its ground


@dataclass(frozen=True)
class Flower:
    """A rendered flower and its truth.

    Attributes:
        image: RGB picture.
        labels: Part of every pixel: 0 background, k + 1 for part k of `PART_NAMES`; what is in front counts.
        flower_class: The class it was rendered for.
    """

    image: UInt8[np.ndarray, "h w 3"]
    labels: UInt8[np.ndarray, "h w"]
    flower_class: FlowerClass

    @property
    def parts(self) -> Bool[np.ndarray, "parts h w"]:
        """Visible pixels of every part, in the order of `PART_NAMES`."""
        return self.labels == np.arange(1, len(PART_NAMES) + 1, dtype=np.uint8)[:, None, None]

    @property
    def discriminative(self) -> Bool[np.ndarray, "h w"]:
        """Visible pixels of the parts that separate the class from the others; none for plain flowers."""
        return np.isin(self.labels, [PART_NAMES.index(part) + 1 for part in self.flower_class.parts])


def render_flower(flower_class: FlowerClass, seed: int | Sequence[int], config: FlowerConfig) -> Flower:
    """Render a flower.

    One seed gives the same plant, light and background in every class; only the ink of the class's
    parts differs. The picture is painted with `supersampling`^2 samples a pixel and averaged; a pixel's label is
    that of the part with the largest coverage.

    Args:
        flower_class: Which parts are vivid, and their colours.
        seed: Seed of everything that varies; anything `numpy.random.default_rng` takes.
        config: Size and ranges of the variation.
    """
    rng = np.random.default_rng(seed)
    light = rng.uniform(*LIGHT_ANGLE)
    pieces = arrange(rng, light, config)
    colours = {part: _part_colours(rng, part, config) for part in PART_NAMES}
    # Plain flowers draw a vivid colour too, and further ones come from streams of their own: what is drawn after them
    # is the same in every class.
    streams = (rng, *rng.spawn(max(len(flower_class.vivid) - 1, 0)))
    deviations = [_vivid_deviation(stream, config) for stream in streams]
    for (part, colour), (hue, saturation, value) in zip(flower_class.vivid, deviations, strict=False):
        colours[part] = (colours[part][0], _hsv(COLOUR_HUES[colour] + hue, saturation, value))

    canvas, labels = _paint_plant(pieces, colours, config.size * config.supersampling)

    def average(samples: np.ndarray) -> np.ndarray:
        return cv2.resize(samples, (config.size, config.size), interpolation=cv2.INTER_AREA)

    coverage = np.stack([average((labels == k).astype(np.float32)) for k in range(len(PART_NAMES) + 1)])
    uncovered = coverage[0]
    background = _background(rng, config) * (uncovered * _shadow(1.0 - uncovered, light))[..., None]
    image = average(canvas) + background
    image *= _illumination(config.size, light)[..., None] * np.float32(rng.uniform(*config.exposure))
    image += rng.normal(scale=config.noise, size=image.shape).astype(np.float32)
    return Flower(
        np.rint(np.clip(image, 0.0, 1.0) * 255.0).astype(np.uint8),
        np.argmax(coverage, axis=0).astype(np.uint8),
        flower_class,
    )


def _hsv(hue: float, saturation: float, value: float) -> Colour:
    """RGB of a colour given as hue in degrees, saturation and value in [0, 1]."""
    return np.array(colorsys.hsv_to_rgb(hue / 360.0 % 1.0, saturation, value), dtype=np.float32)


def _vivid_deviation(rng: np.random.Generator, config: FlowerConfig) -> tuple[float, float, float]:
    """Deviation from a class's hue in degrees, saturation and value of a vivid colour."""
    return rng.uniform(*config.vivid_hue), rng.uniform(*config.vivid_saturation), rng.uniform(*config.vivid_value)


def _part_colours(rng: np.random.Generator, part: str, config: FlowerConfig) -> tuple[Colour, Colour]:
    """Ground and ink of a neutral part."""
    hue = rng.uniform(*_NEUTRAL_HUES.get(part, (0.0, 360.0)))
    saturation, value = rng.uniform(*config.neutral_saturation), rng.uniform(*config.neutral_value)
    ink = _hsv(hue, rng.uniform(*config.neutral_saturation), value * rng.uniform(*_INK_CONTRAST))
    return _hsv(hue, saturation, value), ink


def _paint_plant(
    pieces: Sequence[Piece], colours: Mapping[str, tuple[Colour, Colour]], side: int
) -> tuple[Float[np.ndarray, "side side 3"], UInt8[np.ndarray, "side side"]]:
    """The plant on black, and the part of every sample."""
    canvas, labels = np.zeros((side, side, 3), np.float32), np.zeros((side, side), np.uint8)
    for piece in pieces:
        _paint(canvas, labels, piece, *colours[piece.part])
    return canvas, labels


def _paint(
    canvas: Float[np.ndarray, "h w 3"],
    labels: UInt8[np.ndarray, "h w"],
    piece: Piece,
    ground: Colour,
    ink: Colour,
) -> None:
    """Paint a piece over the canvas, in place."""
    side = labels.shape[0]
    u_low, u_high, v_low, v_high = piece.bounds
    corners = np.array([[u_low, u_low, u_high, u_high], [v_low, v_high, v_low, v_high]])
    corners = (piece.frame.origin[:, None] + piece.frame.axes @ corners) * side
    left, top = np.clip(np.floor(corners.min(axis=1)).astype(int), 0, side)
    right, bottom = np.clip(np.ceil(corners.max(axis=1)).astype(int) + 1, 0, side)
    if left >= right or top >= bottom:
        return
    inverse = np.linalg.inv(piece.frame.axes).astype(np.float32)
    x = (np.arange(left, right) + 0.5).astype(np.float32) / side - np.float32(piece.frame.origin[0])
    y = (np.arange(top, bottom) + 0.5).astype(np.float32)[:, None] / side - np.float32(piece.frame.origin[1])
    surface = piece.surface(inverse[0, 0] * x + inverse[0, 1] * y, inverse[1, 0] * x + inverse[1, 1] * y)
    colour = np.where(surface.ink[..., None], ink, ground) * (surface.shade[..., None] * np.float32(piece.tone))
    canvas[top:bottom, left:right][surface.inside] = colour[surface.inside]
    labels[top:bottom, left:right][surface.inside] = PART_NAMES.index(piece.part) + 1


def _texture(rng: np.random.Generator, side: int, cells: tuple[int, int]) -> Float[np.ndarray, "h w"]:
    """Smooth noise around 0 with three octaves; `cells` (rows, columns) of the coarsest."""
    texture = np.zeros((side, side), np.float32)
    for octave in range(3):
        grid = rng.normal(size=(cells[0] << octave, cells[1] << octave)).astype(np.float32)
        texture += cv2.resize(grid, (side, side), interpolation=cv2.INTER_CUBIC) * 0.5**octave
    return texture


def _background(rng: np.random.Generator, config: FlowerConfig) -> Float[np.ndarray, "h w 3"]:
    """A wall with plaster texture and spots of light out of focus, and a table with grain."""
    uniform, side = rng.uniform, config.size
    wall, spot, table = (
        _hsv(uniform(0, 360), uniform(*config.neutral_saturation), uniform(*config.neutral_value)) for _ in range(3)
    )
    plaster, grain = _texture(rng, side, (6, 6)), _texture(rng, side, (24, 2))
    spots = np.zeros((side, side), np.float32)
    for _ in range(int(rng.integers(0, 9))):
        centre = (int(uniform(0, side)), int(uniform(0, 0.8 * side)))
        disc = np.zeros_like(spots)
        cv2.circle(disc, centre, int(uniform(0.03, 0.1) * side), uniform(0.2, 0.6), thickness=-1)
        np.maximum(spots, disc, out=spots)
    spots = cv2.GaussianBlur(spots, (0, 0), 0.008 * side)[..., None]
    upper = (wall * (1 - spots) + spot * spots) * (1.0 + uniform(0.01, 0.05) * plaster[..., None])
    lower = table * (1.0 + uniform(0.02, 0.06) * grain[..., None])
    row = np.arange(side, dtype=np.float32)[:, None, None] / side
    edge = np.clip((row - uniform(0.76, 0.86)) / 0.02, 0.0, 1.0)
    return upper * (1 - edge) + lower * edge * np.float32(0.9)


def _shadow(plant: Float[np.ndarray, "h w"], light: float) -> Float[np.ndarray, "h w"]:
    """Factor by which the plant's soft shadow darkens the background, away from the lamp."""
    side = plant.shape[0]
    offset = np.array([[1, 0, -0.07 * light * side], [0, 1, 0.03 * side]], dtype=np.float32)
    moved = cv2.warpAffine(plant, offset, (side, side), borderMode=cv2.BORDER_REPLICATE)
    return 1.0 - 0.4 * cv2.GaussianBlur(moved, (0, 0), 0.025 * side)


def _illumination(side: int, light: float) -> Float[np.ndarray, "h w"]:
    """Brightness falling off with the distance from the lamp, up and to the lamp's side."""
    axis = (np.arange(side, dtype=np.float32) + 0.5) / side
    distance = (axis - 0.5 - 0.5 * light) ** 2 + axis[:, None] ** 2
    return (1.08 - 0.2 * distance).astype(np.float32)
