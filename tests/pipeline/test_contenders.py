import dataclasses
import re

import jax.numpy as jnp
import numpy as np
import pytest
import toys

from vissum_jax.masks.binarise import BisectionConfig
from vissum_jax.pipeline.contenders import (
    Contender,
    Photographs,
    Subject,
    find,
    guided_twin,
    in_batches,
    level_sets,
)

SUBJECT = Subject(toys.make_classifier(), None)


@pytest.fixture(scope="module")
def photographs():
    """Three photographs."""
    classes = np.array([0, 1, 0])
    images = np.stack([toys.photograph(index, seed) for seed, index in enumerate(classes)])
    return Photographs(names=("a", "b", "c"), images=images, class_index=classes)


COMPACT = Contender(name="quick", method="compact", config=toys.mask_config())


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_batches_are_filled_up_and_joined_again(size):
    seen = []

    def function(x, y):
        seen.append(x.shape)
        return {"sum": x + y[:, None], "first": y}

    x, y = np.arange(10.0).reshape(5, 2), np.arange(5.0)
    found = in_batches(function, x, y, size=size)
    np.testing.assert_array_equal(found["sum"], x + y[:, None])
    np.testing.assert_array_equal(found["first"], y)
    assert set(seen) == {(size, 2)}


def test_some_photographs_in_another_order(photographs):
    some = photographs.select(np.array([2, 0]))
    assert some.names == ("c", "a")
    np.testing.assert_array_equal(some.images, photographs.images[[2, 0]])
    np.testing.assert_array_equal(some.class_index, [0, 0])


def test_a_preset_has_continuous_masks_and_masks_of_its_own(photographs):
    found = find(SUBJECT, photographs, COMPACT, None, batch_size=2, seed=0)
    assert np.all(found.soft_drop > 0.9)
    np.testing.assert_array_equal(found.passes, found.own_passes)
    # Its ranking has its own mask as the level set of the mask's area.
    np.testing.assert_array_equal(level_sets(found.importance, found.own.mean(axis=(1, 2))), found.own)


def test_a_map_has_no_masks_of_its_own(photographs):
    found = find(SUBJECT, photographs, Contender.of("gradient"), None, batch_size=2, seed=0)
    assert found.importance.shape == photographs.images.shape[:3]
    assert found.own is None
    assert found.soft_drop is None
    assert list(found.passes) == [1, 1, 1]


def test_the_smoothed_gradient_has_bisected_masks(photographs):
    contender = Contender.of("smoothed_gradient")
    assert contender.bisection == BisectionConfig()
    found = find(SUBJECT, photographs, contender, None, batch_size=2, seed=0)
    assert np.all(found.own.any(axis=(1, 2)))
    assert np.all(found.own_passes > found.passes)


def test_a_method_that_looks_for_an_area_gets_it(photographs):
    contender = Contender.of("extremal")
    contender = dataclasses.replace(contender, config=dataclasses.replace(contender.config, iterations=40, sigma=10.0))
    small, large = (
        find(SUBJECT, photographs, contender, np.full(3, area), batch_size=3, seed=0).importance for area in (0.05, 0.6)
    )
    assert np.all(small.mean(axis=(1, 2)) < large.mean(axis=(1, 2)))


@pytest.mark.parametrize("area", [0.0, 1.0])
def test_the_areas_of_degenerate_masks_are_no_mistake(photographs, area):
    found = find(SUBJECT, photographs, Contender.of("random"), np.full(3, area), batch_size=3, seed=0)
    assert np.isfinite(found.importance).all()


def test_level_sets_have_the_areas_asked_for():
    maps = np.random.default_rng(0).random((4, 10, 10), np.float32)
    areas = np.array([0.0, 0.25, 0.5, 1.0])
    salient = np.asarray(level_sets(jnp.asarray(maps), jnp.asarray(areas)))
    np.testing.assert_allclose(salient.mean(axis=(1, 2)), areas)
    assert maps[1][salient[1]].min() > maps[1][~salient[1]].max()


def test_an_unknown_method_is_named_with_the_nearest():
    with pytest.raises(ValueError, match="unknown method 'grad_cma': did you mean 'grad_cam'"):
        Contender.of("grad_cma")


def test_networks_by_name_have_a_guided_twin_where_it_is_needed():
    guided = guided_twin("flowernet", None, [Contender.of("random"), Contender.of("guided_backprop")])
    assert guided.spec.name == "flowernet"
    assert guided_twin("flowernet", None, [Contender.of("random")]) is None


def test_a_network_of_the_users_own_has_none():
    assert guided_twin(toys.MODEL, None, [Contender.of("random")]) is None
    message = "method 'guided_grad_cam' needs the network with guided activations"
    with pytest.raises(ValueError, match=re.escape(message)):
        guided_twin(toys.MODEL, None, [Contender.of("guided_grad_cam")])
