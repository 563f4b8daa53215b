"""How rendered flowers vary."""

from __future__ import annotations

from dataclasses import dataclass, fields

Range = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class FlowerConfig:
    """Size and variation of rendered flowers. Lengths are shares of the picture's side, angles are degrees.

    Every `Range` is the interval of a uniform distribution.

    Attributes:
        size: Side of the square picture in pixels.
        supersampling: Samples per pixel and axis.
        scale: Size of the whole plant.
        roll: Rotation of the whole plant.
        shift: Displacement of the whole plant, on each axis.
        lean: Horizontal displacement of the flower head from above the pot.
        bend: Lateral bow of the stem.
        foreshortening: Short axis of the flower head, seen at an angle, relative to its long axis.
        petal_count: Fewest and most petals.
        petal_length: Length of a petal.
        petal_width: Half the width of a petal, relative to its share of the circle.
        core_radius: Radius of the core.
        leaf_length: Length of a leaf.
        leaf_width: Half the width of a leaf, relative to its length.
        leaf_angle: Rise of a leaf above the horizontal.
        pot_width: Half the width of the pot.
        pot_height: Height of the pot.
        neutral_saturation: HSV saturation of everything but the vivid colour.
        neutral_value: HSV value of everything but the vivid colour.
        vivid_saturation: HSV saturation of the vivid colour.
        vivid_value: HSV value of the vivid colour.
        vivid_hue: Deviation from the class's hue.
        exposure: Brightness of the picture.
        noise: Standard deviation of the sensor noise, in [0, 1] intensity.
    """

    size: int = 300
    supersampling: int = 2
    scale: Range = (0.92, 1.04)
    roll: Range = (-6.0, 6.0)
    shift: Range = (-0.03, 0.03)
    lean: Range = (-0.06, 0.06)
    bend: Range = (-0.05, 0.05)
    foreshortening: Range = (0.82, 1.0)
    petal_count: tuple[int, int] = (6, 8)
    petal_length: Range = (0.155, 0.18)
    petal_width: Range = (0.9, 1.05)
    core_radius: Range = (0.105, 0.12)
    leaf_length: Range = (0.27, 0.31)
    leaf_width: Range = (0.27, 0.31)
    leaf_angle: Range = (-2.0, 16.0)
    pot_width: Range = (0.18, 0.21)
    pot_height: Range = (0.23, 0.27)
    neutral_saturation: Range = (0.05, 0.28)
    neutral_value: Range = (0.62, 0.95)
    vivid_saturation: Range = (0.85, 1.0)
    vivid_value: Range = (0.8, 0.98)
    vivid_hue: Range = (-7.0, 7.0)
    exposure: Range = (0.85, 1.1)
    noise: float = 0.012

    def __post_init__(self) -> None:
        """Check sizes and that every range is ordered."""
        for name in ("size", "supersampling"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be positive, got {getattr(self, name)}.")
        if self.noise < 0:
            raise ValueError(f"`noise` must be non-negative, got {self.noise}.")
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, tuple) and not (len(value) == 2 and value[0] <= value[1]):
                raise ValueError(f"`{field.name}` must be (low, high) with low <= high, got {value}.")
