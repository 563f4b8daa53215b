import pytest

from vissum_jax.proposals import ProposalConfig


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "slow"}, "`mode` must be 'fast' or 'quality', got 'slow'."),
        ({"min_side": 0}, "`min_side` must be positive, got 0."),
        ({"max_proposals": -1}, "`max_proposals` must be positive, got -1."),
        ({"mask_growth": -1}, "`mask_growth` must not be negative, got -1."),
        ({"seed": -1}, "`seed` must not be negative, got -1."),
        ({"margin_share": 0.5}, "`margin_share` must be in [0, 0.5), got 0.5."),
        ({"salient_fill": 1.0}, "`salient_fill` must be in [0, 1), got 1.0."),
        ({"redundancy_overlap": 0.0}, "`redundancy_overlap` must be in (0, 1], got 0.0."),
        ({"redundancy_area_ratio": 0.9}, "`redundancy_area_ratio` must be at least 1, got 0.9."),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        ProposalConfig(**options)
    assert str(error.value) == message


def test_the_papers_constants_are_the_default():
    config = ProposalConfig()
    assert (config.min_side, config.max_proposals, config.salient_fill) == (20, 500, 0.75)
    assert (config.redundancy_overlap, config.redundancy_area_ratio) == (0.5, 2.0)
    assert hash(config) == hash(ProposalConfig())
