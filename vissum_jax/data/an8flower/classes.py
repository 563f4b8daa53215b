"""The classes of rendered flowers: each differs from a plain flower in the colour of one part, or of two."""

from __future__ import annotations

from dataclasses import dataclass

PART_NAMES = ("petals", "core", "stem", "leaves", "pot")
"""Parts of a flower; part k has the label k + 1 in label images, 0 is the background."""

COLOUR_HUES = {"red": 356.0, "yellow": 50.0, "green": 115.0, "cyan": 176.0, "blue": 218.0, "magenta": 300.0}
"""Hue in degrees of the vivid colours that separate classes."""

Vivid = tuple[tuple[str, str], ...]
"""Pairs of a part and its colour."""


@dataclass(frozen=True)
class FlowerClass:
    """A class of flowers: the patterns of its discriminative parts are vivid, all other parts are neutral.

    Attributes:
        name: Class name, also its folder's name.
        vivid: The discriminative parts (of `PART_NAMES`) and their colours (of `COLOUR_HUES`); none for plain flowers.
    """

    name: str
    vivid: Vivid = ()

    def __post_init__(self) -> None:
        """Check that parts and colours are known, and that no part has two colours."""
        for part, colour in self.vivid:
            if part not in PART_NAMES:
                raise ValueError(f"`vivid`: a part must be one of {', '.join(PART_NAMES)}, got {part!r}.")
            if colour not in COLOUR_HUES:
                raise ValueError(f"`vivid`: a colour must be one of {', '.join(COLOUR_HUES)}, got {colour!r}.")
        if len(set(self.parts)) < len(self.parts):
            raise ValueError(f"`vivid` must name a part once, got {', '.join(self.parts)}.")

    @property
    def parts(self) -> tuple[str, ...]:
        """The discriminative parts."""
        return tuple(part for part, _ in self.vivid)

    @property
    def part(self) -> str | None:
        """The discriminative part of a class that has one; None for plain flowers.

        Raises:
            ValueError: The class has several.
        """
        return self._only()[0]

    @property
    def colour(self) -> str | None:
        """Its colour; None for plain flowers.

        Raises:
            ValueError: The class has several.
        """
        return self._only()[1]

    def _only(self) -> tuple[str, str] | tuple[None, None]:
        if len(self.vivid) > 1:
            raise ValueError(f"class {self.name!r} has several discriminative parts: {', '.join(self.parts)}.")
        return self.vivid[0] if self.vivid else (None, None)


PLAIN = FlowerClass("plain_flower")
"""Flowers without a vivid part: what a flower of any class becomes when its vivid parts are hidden."""

_VARIANTS: dict[str, tuple[Vivid, ...]] = {
    # The petals' colour is the class.
    "single-6c": tuple((("petals", colour),) for colour in COLOUR_HUES),
    # Two parts make the class, and neither alone does: six colours of the petals, each with two of the pot.
    "double-12c": tuple((("petals", petals), ("pot", pot)) for petals in COLOUR_HUES for pot in ("yellow", "blue")),
    # The colour is the same: which part has it is the class.
    "part-2c": ((("petals", "red"),), (("pot", "red"),)),
    # Different classes rely on different parts, and no colour gives the part away.
    "demo": (
        (("petals", "red"),),
        (("core", "blue"),),
        (("core", "yellow"),),
        (("leaves", "red"),),
        (("pot", "blue"),),
        (("pot", "yellow"),),
    ),
}

DATASET_VARIANTS = ("single-6c", "double-12c", "part-2c")
"""Variants of the data set; `demo` is the bundled demo's."""


def flower_classes(variant: str) -> tuple[FlowerClass, ...]:
    """Classes of a data set variant, without `PLAIN`.

    ``single-6c``: the petals have one of six colours. ``double-12c``: the petals have one of six, the pot one of two.
    ``part-2c``: either the petals or the pot are red. ``demo``: one of four parts has one of three colours.

    Raises:
        ValueError: If there is no such variant.
    """
    if variant not in _VARIANTS:
        raise ValueError(f"`variant` must be one of {', '.join(_VARIANTS)}, got {variant!r}.")
    return tuple(
        FlowerClass("_".join(f"{colour}_{part}" for part, colour in vivid), vivid) for vivid in _VARIANTS[variant]
    )
