"""The classes of rendered flowers: each differs from a plain flower in the colour of exactly one part."""

from __future__ import annotations

from dataclasses import dataclass

PART_NAMES = ("petals", "core", "stem", "leaves", "pot")
"""Parts of a flower; part k has the label k + 1 in label images, 0 is the background."""

COLOUR_HUES = {"red": 356.0, "yellow": 50.0, "blue": 218.0}
"""Hue in degrees of the vivid colours that separate classes."""


@dataclass(frozen=True)
class FlowerClass:
    """A class of flowers: the pattern of one part is vivid, all other parts are neutral.

    Attributes:
        name: Class name, also its folder's name.
        part: The discriminative part (of `PART_NAMES`), or None for plain flowers.
        colour: Its colour (of `COLOUR_HUES`), or None for plain flowers.
    """

    name: str
    part: str | None
    colour: str | None

    def __post_init__(self) -> None:
        """Check that part and colour are known and come together."""
        if (self.part is None) != (self.colour is None):
            raise ValueError(
                f"`part` and `colour` must both be given or both be None, got {self.part!r} and {self.colour!r}."
            )
        if self.part is not None and self.part not in PART_NAMES:
            raise ValueError(f"`part` must be one of {', '.join(PART_NAMES)}, got {self.part!r}.")
        if self.colour is not None and self.colour not in COLOUR_HUES:
            raise ValueError(f"`colour` must be one of {', '.join(COLOUR_HUES)}, got {self.colour!r}.")


PLAIN = FlowerClass("plain_flower", None, None)
"""Flowers without a vivid part: what a flower of any class becomes when its vivid part is hidden."""

_VARIANTS = {
    # Different classes rely on different parts, and no colour gives the part away.
    "demo": (
        ("petals", "red"),
        ("core", "blue"),
        ("core", "yellow"),
        ("leaves", "red"),
        ("pot", "blue"),
        ("pot", "yellow"),
    ),
}


def flower_classes(variant: str) -> tuple[FlowerClass, ...]:
    """Classes of a data set variant, without `PLAIN`.

    Raises:
        ValueError: If there is no such variant.
    """
    if variant not in _VARIANTS:
        raise ValueError(f"`variant` must be one of {', '.join(_VARIANTS)}, got {variant!r}.")
    return tuple(FlowerClass(f"{colour}_{part}", part, colour) for part, colour in _VARIANTS[variant])
