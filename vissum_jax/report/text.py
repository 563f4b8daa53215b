"""Names, counts and values as pages write them."""

from __future__ import annotations

import numpy as np


def readable(name: str) -> str:
    """A class name as one writes it: data sets have underscores for spaces."""
    return name.replace("_", " ")


def plural(count: int, one: str, many: str = "") -> str:
    """A number of things, in words."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def percent(share: float, digits: int = 1) -> str:
    """A share; a dash where it is not known."""
    return f"{round(100 * share, digits) + 0.0:.{digits}f}\u202f%" if np.isfinite(share) else "\u2013"  # never -0.0


def number(value: float, spec: str = ".3f") -> str:
    """A value; a dash where it is not known."""
    return format(value, spec) if np.isfinite(value) else "\u2013"


def capitalise(text: str) -> str:
    """A heading: its first letter is a capital, abbreviations and names stay; muS and muR are names."""
    return text if text.startswith("mu") else text[:1].upper() + text[1:]
