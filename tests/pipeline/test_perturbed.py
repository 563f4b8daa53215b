from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from vissum_jax.masks.perturbation import perturb
from vissum_jax.masks.solve import JUDGE
from vissum_jax.pipeline.perturbed import perturbed_pictures
from vissum_jax.types import MaskBatch, MaskStatus


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (10, 32, 40, 3), np.uint8)


@pytest.fixture
def masks():
    salient = np.zeros((10, 32, 40), bool)
    for row in range(10):
        salient[row, row : row + 12, 5:20] = True
    numbers = np.ones(10)
    return MaskBatch(
        soft=1.0 - salient,
        salient=salient,
        status=(MaskStatus.OK,) * 10,
        reason=("",) * 10,
        class_index=numbers.astype(int),
        predicted_index=numbers.astype(int),
        p_original=numbers,
        p_soft=numbers,
        p_binary=numbers,
        area=numbers,
        transfer_drop=numbers,
        components=numbers.astype(int),
        passes=numbers.astype(int),
    )


def test_pictures_are_what_the_judge_showed_the_network(images, masks):
    shown = perturbed_pictures(images, masks)
    judged = 255 * np.asarray(perturb(JUDGE, jnp.asarray(images) / 255.0, jnp.asarray(1.0 - masks.salient)))
    assert shown.dtype == np.uint8
    assert np.abs(shown - judged).max() < 0.6  # half a grey level, and what is summed in another order
    np.testing.assert_array_equal(shown[~masks.salient], images[~masks.salient])
    assert np.abs(shown.astype(float) - images)[masks.salient].mean() > 20


def test_photographs_without_a_mask_stay_as_they_are(images, masks):
    status = tuple(MaskStatus.UNREADABLE if row % 2 else MaskStatus.OK for row in range(10))
    shown = perturbed_pictures(images, replace(masks, status=status))
    np.testing.assert_array_equal(shown[1::2], images[1::2])
    np.testing.assert_array_equal(shown[::2], perturbed_pictures(images, masks)[::2])
    none = replace(masks, status=(MaskStatus.NON_FINITE,) * 10)
    np.testing.assert_array_equal(perturbed_pictures(images, none), images)
