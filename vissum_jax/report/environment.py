"""What the pages' templates are rendered with."""

from __future__ import annotations

import jinja2

from vissum_jax.report.text import capitalise, number, percent, plural, readable
from vissum_jax.report.views import MEASURE_LABELS, STATUS_LABELS


def make_environment() -> jinja2.Environment:
    """The templates, which escape whatever comes from outside."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("vissum_jax.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    filters = (capitalise, number, percent, plural, readable)
    environment.filters |= {function.__name__: function for function in filters}
    environment.globals |= {"STATUS_LABELS": STATUS_LABELS, "MEASURE_LABELS": MEASURE_LABELS}
    return environment
