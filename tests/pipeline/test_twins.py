"""Networks built once more: the grids that strides leave in heat maps, and that they do not leave."""

import numpy as np
import pytest
import toys
from explained_flowers import FLOWERS

from vissum_jax.data.an8flower import FlowerConfig, render_flower
from vissum_jax.interpretation.artefacts import grid_energy
from vissum_jax.masks.methods import importance
from vissum_jax.models import load_classifier
from vissum_jax.pipeline.twins import guided_twin


def test_the_grid_of_the_stride_is_at_least_halved_on_every_flower():
    classifier = load_classifier("flowernet")
    config = FlowerConfig(size=112)
    images = np.stack([render_flower(own, 40, config).image for own in FLOWERS[:3]])
    plain, fixed = (
        importance(
            classifier,
            images,
            np.arange(3),
            method="deconvnet",
            batch_size=3,
            guided=guided_twin(classifier, destrided=destrided),
        ).maps
        for destrided in (False, True)
    )
    for before, after in zip(plain, fixed, strict=True):
        assert grid_energy(before, stride=2) > 0.1, "there is a grid to be rid of"
        assert grid_energy(after, stride=2) < grid_energy(before, stride=2) / 2
        assert np.corrcoef(before.ravel(), after.ravel())[0, 1] > 0.3, "and it still shows the same"


def test_a_users_own_network_cannot_be_built_anew():
    with pytest.raises(ValueError, match="'toy' cannot be built with other activations: only networks loaded by name"):
        guided_twin(toys.make_classifier(), destrided=True)
