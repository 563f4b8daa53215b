"""How far a run is: read from its folder alone, without the network and the photographs, while others work on it."""

from __future__ import annotations

import dataclasses
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vissum_jax.pipeline.stages import FAILED
from vissum_jax.runs.leases import holder
from vissum_jax.runs.manifest import Manifest, load_manifest
from vissum_jax.runs.place import open_log, open_place
from vissum_jax.runs.store import PartState, PartStore

_RECENT_EVENTS = 50
"""Parts whose speed tells how long the rest will take."""


@dataclass(frozen=True, kw_only=True)
class Holder:
    """A part that somebody holds.

    Attributes:
        stage: Its stage.
        part: Its number.
        host: The holder's host; empty while the lease is being written.
        pid: The holder's process there.
        abandoned: Whether that process is known to be gone (known on its own machine only).
    """

    stage: str
    part: int
    host: str
    pid: int
    abandoned: bool


@dataclass(frozen=True, kw_only=True)
class StageStatus:
    """How far a stage is.

    Attributes:
        stage: Its name.
        parts: Number of its parts.
        done: Those that are done.
        running: Those that somebody works on.
        left: The others.
        seconds_left: How long all that is not done will take those who work on it; None if nobody does, or none of
            its parts is done yet.
    """

    stage: str
    parts: int
    done: int
    running: int
    left: int
    seconds_left: float | None


@dataclass(frozen=True, kw_only=True)
class ClassStatus:
    """How far a class is.

    Attributes:
        class_index: The class.
        class_name: Its name.
        images: Its photographs.
        done: Those whose rows are there.
        failed: Those of them on which the work failed.
        statuses: Number of rows by status.
        summaries: What is there of its summaries: done, running or left.
    """

    class_index: int
    class_name: str
    images: int
    done: int
    failed: int
    statuses: dict[str, int]
    summaries: str


@dataclass(frozen=True, kw_only=True)
class RunStatus:
    """How far a run is.

    Attributes:
        run: Its folder.
        finished: Whether all masks and summaries are done and the report is there.
        images: Photographs.
        done: Those whose mask rows are there.
        failed: (image, reason) of those on which the work failed.
        stages: Masks, then summaries.
        classes: By class index.
        running: Parts that somebody holds.
        damaged: (stage, part, what was found) of parts that nobody holds and that will be computed again.
        errors: (stage, part, error) of parts at which a worker gave up and that are not done since.
        report: The report's first page; empty if there is none.
    """

    run: str
    finished: bool
    images: int
    done: int
    failed: tuple[tuple[str, str], ...]
    stages: tuple[StageStatus, ...]
    classes: tuple[ClassStatus, ...]
    running: tuple[Holder, ...]
    damaged: tuple[tuple[str, int, str], ...]
    errors: tuple[tuple[str, int, str], ...]
    report: str

    def plain(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class _Parts:
    """One look at the parts of a stage."""

    store: PartStore
    states: Mapping[int, PartState]
    holders: Mapping[int, Holder]

    @classmethod
    def look(cls, stage: str, store: PartStore, numbers: Sequence[int]) -> _Parts:
        states = {number: store.state(number) for number in numbers}
        holders = {}
        for number, state in states.items():
            if state is PartState.DONE:
                continue
            owner = holder(store.storage, store.name(number))
            if owner is not None:
                holders[number] = Holder(
                    stage=stage, part=number, host=owner.host, pid=owner.pid, abandoned=owner.is_dead()
                )
        return cls(store, states, holders)

    @property
    def done(self) -> list[int]:
        return [number for number, state in self.states.items() if state is PartState.DONE]

    @property
    def running(self) -> list[int]:
        return [number for number, held in self.holders.items() if not held.abandoned]

    def status(self, stage: str, sizes: Mapping[int, int], events: Sequence[Mapping[str, Any]]) -> StageStatus:
        own = [event for event in events if event["event"] == stage and event.get("part") in sizes]
        left = sum(size for number, size in sizes.items() if self.states[number] is not PartState.DONE)
        recent = [event["seconds"] / sizes[event["part"]] for event in own[-_RECENT_EVENTS:]]
        known = recent and self.running
        return StageStatus(
            stage=stage,
            parts=len(self.states),
            done=len(self.done),
            running=len(self.running),
            left=len(self.states) - len(self.done) - len(self.running),
            seconds_left=round(statistics.median(recent) * left / len(self.running), 1) if known else None,
        )

    def summary_state(self, number: int) -> str:
        if self.states[number] is PartState.DONE:
            return "done"
        return "running" if number in self.running else "left"


def run_status(folder: Path | str) -> RunStatus:
    """See how far a run is.

    Raises:
        FileNotFoundError: There is no run.
        ValueError: Its manifest is damaged, or it is no run of masks and summaries.
    """
    storage = open_place(folder)
    manifest = load_manifest(storage)
    kind = manifest.configuration.get("kind")
    if kind is not None:
        raise ValueError(f"{str(storage)!r} is a run of `vissum {kind}`; give that command again to go on with it.")
    events = list(open_log(storage).events())
    masks = _Parts.look("masks", PartStore(storage.within("masks")), range(len(manifest.shards)))
    summaries = _Parts.look("summaries", PartStore(storage.within("summaries")), sorted(manifest.classes))
    rows = [
        row
        for number in masks.done
        for row in masks.store.read(number).select(["image", "class_index", "status", "reason"]).to_pylist()
    ]
    images = Counter(index for _, index, _ in manifest.entries)
    stages = (
        masks.status("masks", {number: stop - start for number, (start, stop) in enumerate(manifest.shards)}, events),
        summaries.status("summaries", images, events),
    )
    written = storage.within("report").version("index.html") is not None
    page = f"{storage}/report/index.html"
    both = {"masks": masks, "summaries": summaries}
    return RunStatus(
        run=str(storage),
        finished=all(stage.done == stage.parts for stage in stages) and written,
        images=len(manifest.entries),
        done=len(rows),
        failed=tuple((row["image"], row["reason"]) for row in rows if row["status"] in FAILED),
        stages=stages,
        classes=_classes(manifest, images, rows, summaries),
        running=tuple(held for parts in both.values() for held in parts.holders.values()),
        damaged=tuple(
            (stage, number, str(state))
            for stage, parts in both.items()
            for number, state in parts.states.items()
            if state not in (PartState.DONE, PartState.MISSING) and number not in parts.running
        ),
        errors=_errors(events, both),
        report=page if written else "",
    )


def _classes(
    manifest: Manifest, images: Mapping[int, int], rows: Sequence[Mapping[str, Any]], summaries: _Parts
) -> tuple[ClassStatus, ...]:
    statuses: dict[int, Counter[str]] = {index: Counter() for index in manifest.classes}
    for row in rows:
        statuses[row["class_index"]][row["status"]] += 1
    return tuple(
        ClassStatus(
            class_index=index,
            class_name=name,
            images=images[index],
            done=statuses[index].total(),
            failed=sum(statuses[index][status] for status in FAILED),
            statuses=dict(statuses[index]),
            summaries=summaries.summary_state(index),
        )
        for index, name in sorted(manifest.classes.items())
    )


def _errors(events: Sequence[Mapping[str, Any]], both: Mapping[str, _Parts]) -> tuple[tuple[str, int, str], ...]:
    last = {
        (event["stage"], event["part"]): event["error"]
        for event in events
        if event["event"] == "failed" and event.get("stage") in both
    }
    return tuple(
        (stage, part, error)
        for (stage, part), error in last.items()
        if both[stage].states.get(part, PartState.DONE) is not PartState.DONE
    )
