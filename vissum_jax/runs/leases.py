"""Who works on what: leases that workers on any number of hosts take through the storage that they share.

A lease is a name that its holder created, so that of several who try at once one succeeds, and touches every few
seconds while it works. Whoever sees the name unchanged for longer than the expiry, by the clock in its own hand,
may take the lease over by creating the name of the next generation. No two clocks are ever compared, so that it does
not matter what time a host believes it is.

Nothing can stop a holder that only seemed dead (a suspended host). It finds its lease lost before it commits; in the
moment that remains, the hash in a part's marker sees to it that no mixture of two commits counts.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import secrets
import socket
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

from vissum_jax.runs.store import Storage


@dataclass(frozen=True, kw_only=True)
class LeaseConfig:
    """The times of leases, in seconds.

    Attributes:
        heartbeat: A holder touches its leases this often.
        expiry: A lease unchanged for longer than this is taken over.
        poll: A worker that waits for others looks again this often.
    """

    heartbeat: float = 10.0
    expiry: float = 120.0
    poll: float = 0.5

    def __post_init__(self) -> None:
        """Check that a holder has several chances to touch its lease."""
        for name in ("heartbeat", "poll"):
            if getattr(self, name) <= 0:
                raise ValueError(f"`{name}` must be positive, got {getattr(self, name)}.")
        if self.expiry < 3 * self.heartbeat:
            raise ValueError(
                f"`expiry` must be at least three times `heartbeat` ({self.heartbeat}), got {self.expiry}."
            )


@dataclass(frozen=True, kw_only=True)
class Owner:
    """The process that holds a lease.

    Attributes:
        worker: Unlike that of any other process.
        host: Its host's name, for people.
        pid: Its number there.
        machine: The boot and the process namespace in which `pid` counts; empty where these are not known.
        born: When the process began, in the machine's own count: numbers are used again.
    """

    worker: str
    host: str
    pid: int
    machine: str
    born: str

    @classmethod
    def this_process(cls) -> Owner:
        """The process that asks."""
        pid = os.getpid()
        return cls(
            worker=secrets.token_hex(8), host=socket.gethostname(), pid=pid, machine=this_machine(), born=_born(pid)
        )

    @classmethod
    def parse(cls, data: bytes) -> Owner | None:
        """What a lease says; None for one that is being created, or was when its creator died."""
        try:
            return cls(**json.loads(data))
        except (json.JSONDecodeError, UnicodeDecodeError, TypeError):
            return None

    def is_dead(self) -> bool:
        """Whether the process is known to be gone: only the machine that it ran on can know."""
        if not self.machine or self.machine != this_machine():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:  # another user's, alive
            return False
        return _born(self.pid) != self.born


def this_machine() -> str:
    """The boot and the process namespace of this process; empty where the system does not tell (not Linux)."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _born(pid: int) -> str:
    """When a process began; empty if it has ended (also where nobody has asked for its exit status yet)."""
    try:
        facts = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    state, *rest = facts.rpartition(")")[2].split()
    return "" if state in "ZX" else rest[18]


class Lease:
    """A lease that was taken; a context manager that gives it back."""

    def __init__(
        self, storage: Storage, name: str, generation: int, owner: bytes, forget: Callable[[Lease], object]
    ) -> None:
        """Of a name that was just created."""
        self._owner = owner
        self._storage = storage
        self._name = name
        self._generation = generation
        self._forget = forget

    @property
    def file(self) -> str:
        """The name that stands for the lease."""
        return lease_name(self._name, self._generation)

    def held(self) -> bool:
        """Whether nobody has taken it over, or given that back since and left the name to another."""
        try:
            mine = self._storage.read(self.file) == self._owner
        except FileNotFoundError:
            return False
        return mine and self._storage.version(lease_name(self._name, self._generation + 1)) is None

    def release(self) -> None:
        """Give it back; one that was taken over is its new holder's."""
        self._forget(self)
        if self.held():
            # The last one last: while it is there, nobody takes a gap among the others for a free lease.
            for generation in range(self._generation + 1):
                self._storage.remove(lease_name(self._name, generation))

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        self.release()


def lease_name(name: str, generation: int) -> str:
    """The name that stands for a lease; each takeover counts one generation on."""
    return f"{name}.lease-{generation}"


def holder(storage: Storage, name: str) -> Owner | None:
    """Who holds a lease, as far as it says so."""
    generation = _latest(storage, name)
    if generation < 0:
        return None
    try:
        return Owner.parse(storage.read(lease_name(name, generation)))
    except FileNotFoundError:
        return None


def _latest(storage: Storage, name: str, after: int = -1) -> int:
    generation = after
    while storage.version(lease_name(name, generation + 1)) is not None:
        generation += 1
    return generation


class Leases:
    """Takes leases and keeps them alive; a context manager."""

    def __init__(self, storage: Storage, config: LeaseConfig) -> None:
        """Of one place."""
        self._storage = storage
        self._config = config
        self._owner = json.dumps(asdict(Owner.this_process())).encode()
        self._seen: dict[str, tuple[Hashable, float]] = {}
        self._held: set[Lease] = set()
        self._beating = threading.Lock()
        self._closed = threading.Event()
        self._heart = threading.Thread(target=self._beat, name="lease heartbeat", daemon=True)

    def __enter__(self) -> Leases:
        self._heart.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        self._closed.set()
        self._heart.join()

    def take(self, name: str) -> Lease | None:
        """Take a lease that is free or abandoned; None if somebody else has it."""
        latest = _latest(self._storage, name)
        if latest >= 0 and not self._abandoned(lease_name(name, latest)):
            return None
        lease = Lease(self._storage, name, latest + 1, self._owner, self._forget)
        if not self._storage.create(lease.file, self._owner):
            return None
        if not lease.held():  # all before it were given back meanwhile, and somebody began anew
            self._storage.remove(lease.file)
            beyond = _latest(self._storage, name, latest + 1)
            if beyond > latest + 1 and self._abandoned(lease_name(name, beyond)):
                # He died between giving back his predecessors' and his own: nobody else would ever come past it.
                self._storage.remove(lease_name(name, beyond))
            return None
        with self._beating:
            self._held.add(lease)
        return lease

    def wait(self, name: str) -> Lease:
        """Take a lease once it is free."""
        while (lease := self.take(name)) is None:
            self.pause()
        return lease

    def pause(self) -> None:
        """Let others work for a moment, never the same one: two who wait do not meet again and again."""
        time.sleep(self._config.poll * random.uniform(0.5, 1.5))

    def _forget(self, lease: Lease) -> None:
        with self._beating:  # a beat that is on its way would bring back what is removed next
            self._held.discard(lease)

    def _abandoned(self, file: str) -> bool:
        version = self._storage.version(file)
        if version is None:  # given back a moment ago: the next look will find it free
            return False
        with contextlib.suppress(FileNotFoundError):
            owner = Owner.parse(self._storage.read(file))
            if owner is not None and owner.is_dead():
                return True
        now = time.monotonic()
        known, since = self._seen.get(file, (None, now))
        if known != version:
            self._seen[file] = version, now
            return False
        return now - since > self._config.expiry

    def _beat(self) -> None:
        while not self._closed.wait(self._config.heartbeat):
            for lease in tuple(self._held):
                # A beat that a busy server does not answer is made up for by the next. If none gets through, others
                # take the lease over, and its holder finds that out before it commits.
                with self._beating, contextlib.suppress(OSError):
                    if lease in self._held:
                        self._storage.touch(lease.file)
