"""Names from outside as labels of plots."""

from __future__ import annotations

from typing import Literal

from matplotlib.font_manager import FontProperties, findfont, get_font


def plain_label(name: str, most_letters: int, *, keep: Literal["start", "end"] = "start") -> str:
    """A name as one short line in letters that the font has; others are spelt out.

    What matplotlib would read as mathematics stays: draw with ``parse_math=False``.

    Args:
        name: Anything.
        most_letters: Of a longer name `keep` is shown, beside three dots.
        keep: ``end`` tells paths apart.
    """
    font = get_font(findfont(FontProperties()))
    plain = "".join(
        letter
        if letter.isprintable() and font.get_char_index(ord(letter))
        else letter.encode("unicode_escape").decode("ascii")
        for letter in name
    )
    if len(plain) <= most_letters:
        return plain
    return plain[: most_letters - 3] + "..." if keep == "start" else "..." + plain[3 - most_letters :]
