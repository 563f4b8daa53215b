import json

import pyarrow as pa
import pytest

from vissum_jax.runs.engine import finish_parts
from vissum_jax.runs.log import EventLog
from vissum_jax.runs.store import PartStore


class Stage:
    """A stage whose parts hold their own number; counts what it is asked for."""

    def __init__(self, folder, fails_at=None):
        self.store, self.log = PartStore(folder / "masks"), EventLog(folder / "log.jsonl")
        self.fails_at, self.worked, self.passed = fails_at, [], []

    def work(self, number):
        self.worked.append(number)
        if number == self.fails_at:
            raise MemoryError("no room")
        return pa.table({"number": [number] * (number + 1)})

    def finish(self, numbers):
        finish_parts(
            "masks",
            self.store,
            numbers,
            self.work,
            self.log,
            describe=lambda table: {"total": sum(table["number"].to_pylist())},
            on_done=self.passed.append,
        )
        return self

    def events(self):
        return [json.loads(line) for line in self.log.path.read_text().splitlines()]


def test_every_part_is_computed_once_and_logged(tmp_path):
    stage = Stage(tmp_path).finish([2, 0, 5])
    assert stage.worked == [2, 0, 5]
    assert stage.passed == []
    assert all(stage.store.done(number) for number in (0, 2, 5))
    assert stage.store.read(2)["number"].to_pylist() == [2, 2, 2]
    logged = [(event["event"], event["part"], event["rows"], event["total"]) for event in stage.events()]
    assert logged == [("masks", 2, 3, 6), ("masks", 0, 1, 0), ("masks", 5, 6, 30)]
    assert all(event["seconds"] >= 0 for event in stage.events())


def test_parts_that_are_done_are_passed_over(tmp_path):
    Stage(tmp_path).finish([0, 2])
    second = Stage(tmp_path).finish([0, 1, 2])
    assert second.worked == [1]
    assert second.passed == [0, 2]
    assert [event["part"] for event in second.events()] == [0, 2, 1]


def test_a_failure_keeps_what_was_finished_and_the_next_try_goes_on(tmp_path):
    with pytest.raises(MemoryError, match="no room"):
        Stage(tmp_path, fails_at=1).finish(range(3))
    second = Stage(tmp_path).finish(range(3))
    assert second.passed == [0]
    assert second.worked == [1, 2]


def test_a_part_damaged_since_is_computed_again(tmp_path):
    first = Stage(tmp_path).finish(range(2))
    first.store.part(1).write_bytes(b"PAR1 but no more")
    second = Stage(tmp_path).finish(range(2))
    assert second.worked == [1]
    assert second.store.read(1)["number"].to_pylist() == [1, 1]
