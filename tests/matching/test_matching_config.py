import pytest

from vissum_jax.matching import MatchingConfig


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"score": "hog"}, "`score` must be one of lom, nam, phm, got 'hog'."),
        ({"descriptor": "sift"}, "`descriptor` must be one of auto, hog, network, both, got 'sift'."),
        ({"endpoint_cells": 0}, "`endpoint_cells` must be positive, got 0."),
        ({"network_weight": 1.0}, "`network_weight` must be in (0, 1), got 1.0."),
        ({"network_ridge": 0.0}, "`network_ridge` must be positive, got 0.0."),
        ({"median_steps": 0}, "`median_steps` must be positive, got 0."),
        ({"best_matches": -3}, "`best_matches` must be positive, got -3."),
        ({"whitening_ridge": 0.0}, "`whitening_ridge` must be positive, got 0.0."),
        ({"offset_weight": -1.0}, "`offset_weight` must not be negative, got -1.0."),
        ({"max_aspect_ratio": 1.0}, "`max_aspect_ratio` must be above 1, got 1.0."),
        ({"hough_smoothing_taps": 4}, "`hough_smoothing_taps` must be odd, got 4."),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        MatchingConfig(**options)
    assert str(error.value) == message
