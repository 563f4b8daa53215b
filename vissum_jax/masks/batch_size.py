"""How many images fit on a device at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import jax

_OUT_OF_MEMORY = "RESOURCE_EXHAUSTED"


class DeviceMemoryError(MemoryError):
    """A batch does not fit the device's memory."""


@contextmanager
def device_memory(batch_size: int) -> Iterator[None]:
    """Name the setting to change where the device runs out of memory.

    Raises:
        DeviceMemoryError: In place of JAX's error.
    """
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if _OUT_OF_MEMORY not in str(error):
            raise
        raise DeviceMemoryError(
            f"a batch of {batch_size} image(s) does not fit the device's memory; take a smaller `batch_size` "
            "(--batch-size), or leave it out for the largest that fits."
        ) from error


def largest_batch(work: Callable[[int], object], largest: int) -> int:
    """The largest batch that fits, found by trial: `largest`, or the first of its halves with which `work` succeeds.

    Raises:
        DeviceMemoryError: Not even a single image fits.
    """
    size = largest
    while True:
        try:
            with device_memory(size):
                work(size)
        except DeviceMemoryError:
            if size == 1:
                raise
            size //= 2
        else:
            return size
