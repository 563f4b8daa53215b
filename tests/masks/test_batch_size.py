import jax
import numpy as np
import pytest
import toys

from vissum_jax.masks import extract as module
from vissum_jax.masks.batch_size import DeviceMemoryError, device_memory, largest_batch
from vissum_jax.masks.extract import extract, largest_search

FULL = "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 1234 bytes."
MESSAGE = (
    "a batch of 64 image(s) does not fit the device's memory; take a smaller `batch_size` (--batch-size), or leave it "
    "out for the largest that fits."
)


def device_of(capacity, tried):
    def work(size):
        tried.append(size)
        if size > capacity:
            raise jax.errors.JaxRuntimeError(FULL)

    return work


@pytest.mark.parametrize(
    ("capacity", "largest", "tries"),
    [(1000, 256, [256]), (100, 256, [256, 128, 64]), (1, 5, [5, 2, 1]), (1, 1, [1])],
)
def test_sizes_are_halved_until_one_fits(capacity, largest, tries):
    tried = []
    assert largest_batch(device_of(capacity, tried), largest) == tries[-1]
    assert tried == tries


def test_a_device_too_small_for_one_image_is_named():
    with pytest.raises(DeviceMemoryError, match=r"a batch of 1 image\(s\) does not fit"):
        largest_batch(device_of(0, []), 4)


def test_other_errors_are_not_taken_for_a_full_memory():
    tried = []

    def broken(size):
        tried.append(size)
        raise jax.errors.JaxRuntimeError("INTERNAL: broken")

    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL: broken"):
        largest_batch(broken, 8)
    assert tried == [8]


def test_a_full_device_is_said_with_the_setting_to_change():
    with pytest.raises(DeviceMemoryError) as raised, device_memory(64):
        raise jax.errors.JaxRuntimeError(FULL)
    assert str(raised.value) == MESSAGE
    assert isinstance(raised.value.__cause__, jax.errors.JaxRuntimeError)


def test_the_search_that_fits_is_tried_on_the_device(monkeypatch):
    tried = []
    solve = module.solve_in_slots

    def small_device(classifier, images, *rest, batch_size):
        tried.append((len(images), batch_size))
        device_of(4, [])(batch_size)
        yield from solve(classifier, images, *rest, batch_size=batch_size)

    monkeypatch.setattr(module, "solve_in_slots", small_device)
    classifier = toys.make_classifier()
    assert largest_search(classifier, toys.mask_config(), largest=16) == 4
    assert tried == [(16, 16), (8, 8), (4, 4)]
    # Asked for more than fits, the search says so.
    images = np.stack([toys.photograph(0, seed) for seed in range(2)])
    with pytest.raises(DeviceMemoryError, match=r"a batch of 8 image\(s\)"):
        extract(classifier, images, None, toys.mask_config(), batch_size=8, count_regions=lambda mask: 1)
