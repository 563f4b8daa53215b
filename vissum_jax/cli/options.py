"""How options look in ``--help``."""

from __future__ import annotations

from typing import Annotated, Any

import tyro

RunPlace = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
"""A run, in a folder or an object store."""

Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff, tyro.conf.arg(help_behavior_hint="")]
"""An option without a value."""


def optional(name: str) -> Any:
    """An option that may be left out, its value called `name`."""
    return tyro.conf.arg(metavar=name, help_behavior_hint="")
