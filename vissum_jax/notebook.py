"""Tables and thumbnails: how objects look in a notebook.

The lowest layer. It is handed columns of words, numbers and pictures and knows no type, so that `types` can show
masks and summaries without importing what lies above it, and `pipeline` can add the report's pictures. `types` imports
it inside of `_repr_html_` alone, that is, only once a notebook asks: kernels import `types`, and must not load Jinja2
and Pillow with it (import-linter knows this one exception).

The HTML stands by itself (pictures are data URIs, nothing is fetched or executed), and all words are escaped.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
import numpy as np
from jaxtyping import Bool, Float, UInt8
from markupsafe import Markup
from PIL import Image

MOST_ROWS = 12
"""Rows of a table; a notebook is no place for a thousand pictures."""
SIDE = 72
"""Longest side of a thumbnail in pixels."""
_QUALITY = 80
_RED, _PALE = np.array([200.0, 30.0, 30.0]), np.array([245.0, 245.0, 245.0])

_TABLE = jinja2.Environment(autoescape=True).from_string(
    """\
<div style="overflow-x: auto">
<p><strong>{{ title }}</strong>{% if note %}: {{ note }}{% endif %}</p>
{% if rows %}
<table>
<thead><tr>{% for name in names %}<th scope="col">{{ name }}</th>{% endfor %}</tr></thead>
<tbody>
{% for row in rows %}
<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</tbody>
</table>
{% endif %}
{% if more %}<p>.. and {{ more }} more.</p>{% endif %}
</div>
"""
)


def table(title: str, note: str, columns: Mapping[str, Sequence[Any] | np.ndarray], *, rows: int) -> Markup:
    """A table of which the first `MOST_ROWS` rows are shown.

    Args:
        title: What is shown.
        note: About all of it; may be empty.
        columns: Cells by the name of their column: numbers, words, or `Markup` such as a thumbnail's. Of a column
            no more than `MOST_ROWS` cells need be there.
        rows: How many rows there are.
    """
    shown = min(rows, MOST_ROWS)
    cells = [[cell(column[row]) for column in columns.values()] for row in range(shown)]
    return Markup(_TABLE.render(title=title, note=note, names=list(columns), rows=cells, more=rows - shown))


def cell(value: Any) -> str:
    """A value in words: three decimals, a dash for what was not measured."""
    if isinstance(value, Markup):
        return value
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        return f"{value:.3f}" if math.isfinite(value) else "-"
    return str(value)


def thumbnail(picture: UInt8[np.ndarray, "h w 3"], alt: str, *, side: int = SIDE) -> Markup:
    """A small picture as an ``<img>`` that holds its own bytes.

    Args:
        picture: RGB; made smaller if need be.
        alt: What it shows, for those who do not see it.
        side: Longest side in pixels.
    """
    small = Image.fromarray(np.ascontiguousarray(picture))
    small.thumbnail((side, side))
    data = io.BytesIO()
    small.save(data, "WEBP", quality=_QUALITY)
    address = "data:image/webp;base64," + base64.b64encode(data.getvalue()).decode()
    return Markup('<img src="{}" alt="{}" width="{}" height="{}">').format(address, alt, small.width, small.height)


def mask_picture(soft: Float[np.ndarray, "h w"], salient: Bool[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """A mask without its photograph: red where the binary one perturbs, the darker the more the continuous one does."""
    kept = np.clip(np.nan_to_num(soft, nan=1.0), 0.0, 1.0)[..., None]
    grey = _PALE * (0.5 + 0.5 * kept)
    return np.where(salient[..., None], _RED, grey).astype(np.uint8)
