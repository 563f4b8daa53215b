"""A batch over all devices of this process: rows are divided among them, each runs the same program on its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

_ROWS = "rows"


class Devices:
    """This process's devices, in a row.

    Nothing is exchanged between devices: a loop ends on each when its own rows are done. A row's result does not depend
    on the number of devices, but for rounding between one (where XLA compiles another program) and several.
    """

    def __init__(self, devices: Sequence[jax.Device] | None = None) -> None:  # pyright: ignore[reportInvalidTypeForm]
        """Take devices; all local ones by default."""
        self.devices = tuple(jax.local_devices() if devices is None else devices)
        mesh = Mesh(np.array(self.devices), (_ROWS,))
        self._mesh = mesh
        self._divided, self._same = NamedSharding(mesh, P(_ROWS)), NamedSharding(mesh, P())

    def __len__(self) -> int:
        """Number of devices."""
        return len(self.devices)

    def __hash__(self) -> int:
        """By devices, so that compiled programs can be kept."""
        return hash(self.devices)

    def __eq__(self, other: object) -> bool:
        """By devices."""
        return isinstance(other, Devices) and self.devices == other.devices

    def divide(self, rows: Any) -> Any:
        """Put arrays on the devices, their leading axis divided among them in equal, consecutive parts."""
        return jax.device_put(rows, self._divided)

    def copy(self, values: Any) -> Any:
        """Put arrays on every device."""
        return jax.device_put(values, self._same)

    def program(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Compile `function(copied, *divided)`, whose results are divided too; it sees the rows of one device."""

        def on_device(copied: Any, divided: tuple) -> Any:
            return function(copied, *divided)

        # No collectives, so there is nothing for JAX to check of what varies over the devices.
        mapped = jax.shard_map(
            on_device, mesh=self._mesh, in_specs=(P(), P(_ROWS)), out_specs=P(_ROWS), check_vma=False
        )
        compiled = jax.jit(mapped)
        return lambda copied, *divided: compiled(copied, divided)
