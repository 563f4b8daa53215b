import pytest

from vissum_jax.summaries import SummaryConfig


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"damping": 1.2}, "`damping` must be in [0.5, 1), got 1.2."),
        ({"max_iterations": 0}, "`max_iterations` must be positive, got 0."),
        ({"retries": -1}, "`retries` must not be negative, got -1."),
        ({"top_members": 1}, "`top_members` must be at least 2, got 1."),
        ({"stability_repeats": -1}, "`stability_repeats` must not be negative, got -1."),
        ({"stability_share": 1.0}, "`stability_share` must be in (0, 1), got 1.0."),
        ({"retry_factor": 0.0}, "`retry_factor` must be in (0, 1), got 0.0."),
        ({"member_similarity": 1.5}, "`member_similarity` must be in [0, 1], got 1.5."),
        ({"member_share": 0.0}, "`member_share` must be in (0, 1], got 0.0."),
        ({"warp": "affine"}, "`warp` must be one of simple, flow, got 'affine'."),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        SummaryConfig(**options)
    assert str(error.value) == message
