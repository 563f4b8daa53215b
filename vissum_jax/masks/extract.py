"""Masks of any number of images, on all devices of this process, results on the host."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial

import jax
import numpy as np
from jaxtyping import Bool, Int, UInt8

from vissum_jax.masks.batch_size import device_memory, largest_batch
from vissum_jax.masks.config import CompactConfig, MaskConfig, PhasedConfig
from vissum_jax.masks.devices import Devices
from vissum_jax.masks.slots import solve_in_slots
from vissum_jax.masks.solve import Solution, predict, solve
from vissum_jax.types import Classifier, MaskBatch, MaskStatus

_SCORES = ("p_original", "p_soft", "p_binary", "p_transfer")


def batches(rows: Int[np.ndarray, " k"], size: int) -> Iterator[tuple[Int[np.ndarray, " size"], Int[np.ndarray, " r"]]]:
    """Rows in batches of one size: each with the rows that fill it up (its last, repeated) and without."""
    for start in range(0, len(rows), size):
        real = rows[start : start + size]
        yield np.pad(real, (0, size - len(real)), mode="edge"), real


def check_images(images: np.ndarray, classifier: Classifier) -> None:
    """Check that images are what a network's masks are made from.

    Raises:
        ValueError: If they are not uint8 RGB of the network's input size.
    """
    spec = classifier.spec
    wanted = (spec.input_height, spec.input_width, 3)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != wanted:
        raise ValueError(
            f"`images` must be uint8 (n, {', '.join(map(str, wanted))}) for {spec.name!r}, got "
            f"{images.dtype} {images.shape}."
        )


@lru_cache(maxsize=8)
def _predict_on(devices: Devices) -> Callable[..., jax.Array]:
    return devices.program(predict)


@lru_cache(maxsize=8)
def _solve_on(devices: Devices, config: PhasedConfig) -> Callable[..., Solution]:
    return devices.program(partial(solve, config=config))


def _solve_in_batches(
    classifier: Classifier,
    images: UInt8[np.ndarray, "n h w 3"],
    class_index: Int[np.ndarray, " n"],
    config: PhasedConfig,
    devices: Devices,
    *,
    batch_size: int,
) -> Iterator[tuple[Int[np.ndarray, " k"], Solution]]:
    """As `solve_in_slots`, for presets that spend the same number of steps on every image."""
    for filled, rows in batches(np.arange(len(images)), batch_size * len(devices)):
        valid = np.arange(len(filled)) < len(rows)
        batch = devices.divide((images[filled], class_index[filled].astype(np.int32), valid))
        solution = jax.device_get(_solve_on(devices, config)(classifier, *batch))
        yield rows, Solution(*(values[: len(rows)] for values in solution))


def _solve(
    classifier: Classifier,
    images: UInt8[np.ndarray, "n h w 3"],
    class_index: Int[np.ndarray, " n"],
    config: MaskConfig,
    devices: Devices,
    *,
    batch_size: int,
) -> Iterator[tuple[Int[np.ndarray, " k"], Solution]]:
    """Images that are done, and their solutions, by what suits the preset."""
    with device_memory(batch_size):
        if isinstance(config, CompactConfig):
            yield from solve_in_slots(classifier, images, class_index, config, devices, batch_size=batch_size)
        else:
            yield from _solve_in_batches(classifier, images, class_index, config, devices, batch_size=batch_size)


def largest_search(classifier: Classifier, config: MaskConfig, *, largest: int, devices: Devices | None = None) -> int:
    """The most images that can be searched at once on each device, up to `largest`; tried on blank ones.

    What is compiled for the trial is what `extract` runs.

    Raises:
        DeviceMemoryError: Not even a single image fits.
    """
    devices = devices or Devices()
    network, spec = devices.copy(classifier), classifier.spec

    def attempt(size: int) -> None:
        count = size * len(devices)
        blank = np.zeros((count, spec.input_height, spec.input_width, 3), np.uint8)
        for _ in _solve(network, blank, np.zeros(count, int), config, devices, batch_size=size):
            pass

    return largest_batch(attempt, largest)


def extract(
    classifier: Classifier,
    images: UInt8[np.ndarray, "n h w 3"],
    class_index: Int[np.ndarray, " n"] | None,
    config: MaskConfig,
    *,
    batch_size: int,
    devices: Devices | None = None,
    count_regions: Callable[[Bool[np.ndarray, "h w"]], int],
    skip_mispredicted: bool = True,
    unreadable: Mapping[int, str] | None = None,
    progress: Callable[[int], object] | None = None,
) -> MaskBatch:
    """Find the masks of n images.

    The network first answers for all of them; only those that remain are searched, so that images it would skip
    cost nothing.

    Args:
        classifier: The network explained.
        images: RGB, of the network's input size.
        class_index: Class explained of each image; None for the network's own answer.
        config: A preset.
        batch_size: Images searched at once on each device.
        devices: What computes; all of this process's devices by default.
        count_regions: Number of connected regions of a binary mask.
        skip_mispredicted: Whether images whose answer is not `class_index` are left out (VS 3.1).
        unreadable: Rows that hold no picture, with the reason.
        progress: Called with numbers of images done.

    Raises:
        ValueError: If the images do not fit the network, or a class is none of its.
        DeviceMemoryError: If a batch does not fit the device's memory.
    """
    check_images(images, classifier)
    count, height, width, _ = images.shape
    names = classifier.spec.class_names
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be at least 1, got {batch_size}.")
    if class_index is not None:
        if class_index.shape != (count,):
            raise ValueError(f"`class_index` must be one for each of the {count} images, got {len(class_index)}.")
        if np.any((class_index < 0) | (class_index >= len(names))):
            found = f"{class_index.min()}..{class_index.max()}"
            raise ValueError(f"`class_index` must be in 0..{len(names) - 1}, got {found}.")
    status = np.full(count, MaskStatus.OK, dtype=object)
    reason = np.full(count, "", dtype=object)
    for row, why in (unreadable or {}).items():
        status[row], reason[row] = MaskStatus.UNREADABLE, why

    readable = np.flatnonzero(status == MaskStatus.OK)
    probabilities = np.full((count, len(names)), np.nan, dtype=np.float32)
    devices = devices or Devices()
    network = devices.copy(classifier)
    for filled, rows in batches(readable, batch_size * len(devices)):
        answers = _predict_on(devices)(network, devices.divide(images[filled]))
        probabilities[rows] = jax.device_get(answers)[: len(rows)]
    finite = np.all(np.isfinite(probabilities), axis=1)
    predicted = np.where(finite, np.argmax(np.where(np.isfinite(probabilities), probabilities, -1.0), axis=1), -1)
    wanted = predicted.copy() if class_index is None else np.array(class_index, dtype=np.int64)

    def mark(rows: Int[np.ndarray, " r"], outcome: MaskStatus, why: Callable[[int], str]) -> None:
        for row in rows:
            status[row], reason[row] = outcome, why(row)

    mark(readable[~finite[readable]], MaskStatus.NON_FINITE, lambda _: "the network answers NaN or infinity")
    if skip_mispredicted:
        mark(
            readable[finite[readable] & (predicted != wanted)[readable]],
            MaskStatus.SKIPPED_PREDICTION,
            lambda row: f"the network answers {names[predicted[row]]} (p = {probabilities[row].max():.3f})",
        )
    todo = np.flatnonzero(status == MaskStatus.OK)
    if progress is not None:
        progress(count - len(todo))

    found = {
        "soft": np.ones((count, height, width), np.float32),
        "salient": np.zeros((count, height, width), bool),
        "passes": np.zeros(count, np.int32),
        **{name: np.full(count, np.nan, np.float32) for name in (*_SCORES, "area")},
    }
    for done, solution in _solve(network, images[todo], wanted[todo], config, devices, batch_size=batch_size):
        rows = todo[done]
        for name, values in solution._asdict().items():
            found[name][rows] = values
        if progress is not None:
            progress(len(rows))

    answered = np.all([np.isfinite(found[name][todo]) for name in _SCORES], axis=0)
    possible = found["p_original"][todo] > 0
    mark(todo[~answered], MaskStatus.NON_FINITE, lambda _: "the network answers NaN or infinity under a mask")
    mark(
        todo[answered & ~possible],
        MaskStatus.NON_FINITE,
        lambda _: "the class's probability is 0: no mask can lower it",
    )
    masked = todo[answered & possible]
    others = np.setdiff1d(np.arange(count), masked)
    found["soft"][others], found["salient"][others] = 1.0, False
    for name in (*_SCORES, "area"):
        found[name][others] = np.nan
    found["p_original"][others] = probabilities[others, wanted[others]]
    if isinstance(config, CompactConfig):
        drop = np.full(count, np.nan)
        drop[masked] = 1.0 - found["p_binary"][masked] / found["p_original"][masked]
        mark(
            masked[drop[masked] < config.target_drop],
            MaskStatus.INFEASIBLE,
            lambda row: f"no mask reached a drop of {config.target_drop}; the best found drops {drop[row]:.4f}",
        )
    return MaskBatch(
        soft=found["soft"],
        salient=found["salient"],
        # An array hands a status back as the text that it is.
        status=tuple(MaskStatus(outcome) for outcome in status),
        reason=tuple(reason),
        class_index=wanted,
        predicted_index=predicted,
        p_original=found["p_original"],
        p_soft=found["p_soft"],
        p_binary=found["p_binary"],
        area=found["area"],
        transfer_drop=(found["p_original"] - found["p_transfer"]) / found["p_original"],
        components=np.array([count_regions(mask) if mask.any() else 0 for mask in found["salient"]], np.int32),
        passes=found["passes"],
    )
