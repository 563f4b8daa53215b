import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
import toys

from vissum_jax.masks import compact, slots
from vissum_jax.masks.devices import Devices
from vissum_jax.masks.slots import solve_in_slots
from vissum_jax.masks.solve import Solution, solve

CONFIG = dataclasses.replace(toys.mask_config(), patience=8)
COUNT, BATCH = 11, 4
CLASSES = np.arange(COUNT) % 3


def photographs():
    """Eleven, of which three are flat: those stop as soon as patience allows."""
    images = np.stack([toys.photograph(int(index), seed) for seed, index in enumerate(CLASSES)])
    images[[1, 5, 6]] = 60
    return images


def find(devices=None, *, batch_size=BATCH):
    """Solutions in the images' order."""
    devices = devices or Devices()
    images = photographs()
    found = list(
        solve_in_slots(devices.copy(toys.make_classifier()), images, CLASSES, CONFIG, devices, batch_size=batch_size)
    )
    order = np.concatenate([done for done, _ in found])
    assert sorted(order.tolist()) == list(range(COUNT)), "every image once"
    return Solution(
        *(np.concatenate(values)[np.argsort(order)] for values in zip(*(each for _, each in found), strict=True))
    )


@pytest.fixture(scope="module")
def found():
    return find()


def test_images_get_the_masks_that_they_get_in_a_batch(found):
    images = photographs()
    for start in range(0, COUNT, BATCH):
        rows = np.minimum(np.arange(start, start + BATCH), COUNT - 1)
        valid = np.arange(start, start + BATCH) < COUNT
        batch = jax.device_put((images[rows], CLASSES[rows].astype(np.int32), valid))
        expected = jax.device_get(solve(toys.make_classifier(), *batch, CONFIG))
        np.testing.assert_array_equal(found.passes[rows[valid]], expected.passes[valid])
        np.testing.assert_allclose(found.p_binary[rows[valid]], expected.p_binary[valid], atol=1e-5)
        # Other programs round otherwise, which moves single pixels across the edge of a mask.
        assert np.mean(found.salient[rows[valid]] != expected.salient[valid]) < 1e-3


def test_an_image_that_stops_makes_room_for_the_next(found, monkeypatch):
    occupied = []
    programs = slots._programs(Devices(), CONFIG)

    def advance(classifier, rows, valid):
        occupied.append(int(np.sum(jax.device_get(valid))))
        return programs.advance(classifier, rows, valid)

    monkeypatch.setattr(slots, "_programs", lambda devices, config: programs._replace(advance=advance))
    find()
    evaluations = compact.first_gradients(CONFIG) + compact.judgements(CONFIG) + 4
    rounds = -(-(found.passes - evaluations) // compact.round_length(CONFIG))
    assert sum(occupied) == rounds.sum(), "no round is spent on an image that has stopped"
    in_batches = sum(rounds[start : start + BATCH].max() for start in range(0, COUNT, BATCH))
    assert len(occupied) < in_batches
    # Slots are full while images wait: after the last has entered there is at most its own search to come.
    assert occupied[: len(occupied) - rounds.max()] == [BATCH] * (len(occupied) - rounds.max())


def test_the_same_call_gives_the_same(found):
    again = find()
    for name, values in found._asdict().items():
        np.testing.assert_array_equal(getattr(again, name), values, err_msg=name)


def test_programs_are_compiled_once(found):
    traces = []
    classifier = toys.make_classifier()

    def counted(params, images):
        traces.append(images.shape)
        return toys.answer(params, images)

    network = type(classifier)(classifier.params, counted, classifier.spec)
    devices, images = Devices(), photographs()
    for _ in solve_in_slots(devices.copy(network), images[:BATCH], CLASSES[:BATCH], CONFIG, devices, batch_size=BATCH):
        first = len(traces)
    for _ in solve_in_slots(devices.copy(network), images, CLASSES, CONFIG, devices, batch_size=BATCH):
        pass
    assert len(traces) == first > 0


def test_no_images_are_no_error():
    empty = photographs()[:0]
    classifier = toys.make_classifier()
    assert list(solve_in_slots(classifier, empty, CLASSES[:0], CONFIG, Devices(), batch_size=BATCH)) == []


ON_SEVERAL = """
import jax, numpy as np
from masks.test_slots import find
from vissum_jax.masks.devices import Devices

devices = jax.local_devices()
assert len(devices) == max(COUNTS)
one, *others = (find(Devices(devices[:count]), batch_size=1) for count in (1, *COUNTS))
for other in others:
    for name, values in other._asdict().items():
        np.testing.assert_array_equal(values, getattr(others[0], name), err_msg=name)
    np.testing.assert_array_equal(other.passes, one.passes)
    np.testing.assert_allclose(other.p_binary, one.p_binary, atol=1e-3)
    # XLA rounds otherwise in a program for several devices, which moves single pixels across the edge of a mask.
    assert np.mean(other.salient != one.salient) < 1e-3
"""


@pytest.mark.parametrize("counts", [(2,), pytest.param((2, 8), marks=pytest.mark.slow)], ids=["two", "two and eight"])
def test_several_devices_find_what_one_finds(counts):
    # Host devices are counted when JAX starts, so this needs a process of its own.
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={max(counts)}"
    tests = Path(__file__).parents[1]
    environment = {**os.environ, "XLA_FLAGS": flags, "PYTHONPATH": os.pathsep.join((str(tests), str(tests.parent)))}
    command = [sys.executable, "-c", f"COUNTS = {counts}\n{ON_SEVERAL}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
