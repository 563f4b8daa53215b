import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vissum_jax.report.views import Moments, Zoom, flattened


def test_moments_are_of_finite_values_with_population_variance():
    moments = Moments.of(np.array([1.0, np.nan, 3.0, np.inf]))
    assert (moments.mean, moments.variance, moments.count) == (2.0, 1.0, 2)
    assert np.isnan(Moments.of(np.array([np.nan])).mean)
    assert Moments.of(np.zeros(0)).count == 0


@given(
    x=st.integers(0, 99),
    y=st.integers(0, 49),
    w=st.integers(1, 100),
    h=st.integers(1, 50),
    margin=st.floats(0, 2),
)
def test_a_zoom_stays_inside_and_holds_the_box(x, y, w, h, margin):
    w, h = min(w, 100 - x), min(h, 50 - y)
    zoom = Zoom.onto((x, y, w, h), height=50, width=100, margin=margin)
    side = 1 / zoom.scale
    small = 1e-9
    assert zoom.scale >= 1 - small
    assert -small <= zoom.x <= x / 100 + small
    assert -small <= zoom.y <= y / 50 + small
    assert (x + w) / 100 - small <= zoom.x + side <= 1 + small
    assert (y + h) / 50 - small <= zoom.y + side <= 1 + small


def test_a_zoom_leaves_a_margin():
    zoom = Zoom.onto((40, 20, 10, 5), height=50, width=100, margin=0.5)
    assert (zoom.x, zoom.y, zoom.scale) == pytest.approx((0.35, 0.35, 5))


def test_configurations_become_lines():
    assert flattened({"a": {"b": {"c": 1}, "d": [1, 2]}, "e": "text", "f": None, "g": True}) == [
        ("a.b.c", "1"),
        ("a.d", "[1, 2]"),
        ("e", "text"),
        ("f", "null"),
        ("g", "true"),
    ]
