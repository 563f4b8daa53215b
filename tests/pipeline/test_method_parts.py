import numpy as np
import pyarrow as pa
import pytest
import toys

from vissum_jax.pipeline import method_parts
from vissum_jax.pipeline.method_parts import finish_method
from vissum_jax.runs.log import EventLog


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(method_parts, "SHARD_SIZE", 3)


@pytest.fixture
def finish(tmp_path):
    """Finishes a method of seven images; remembers which images were worked on and the progress."""

    class Finish:
        def __init__(self):
            self.worked, self.fail_at = [], None

        def __call__(self, decisive="x", *, batch_size=1):
            self.progress = toys.Recorder()
            self.worked = []

            units = np.array([2, 2, 1, 1, 1, 1, 1])

            def work(part):
                if part.start == self.fail_at:
                    raise OSError("the disk is full")
                self.worked += range(part.start, part.stop)
                self.progress.advance(int(units[part].sum()))
                return pa.table({"image": list(range(part.start, part.stop))})

            return finish_method(
                tmp_path,
                "method",
                work,
                units=units,
                batch_size=batch_size,
                decisive={"decisive": decisive},
                log=EventLog(tmp_path / "log.jsonl"),
                progress=self.progress,
            )

    return Finish()


def test_all_images_are_worked_on_in_parts(finish):
    assert finish()["image"].to_pylist() == finish.worked == list(range(7))
    assert finish.progress.stages == [["method", 9, 9]]


def test_what_is_done_is_not_done_again(finish):
    first = finish()
    assert finish().equals(first)
    assert finish.worked == []
    finish.progress.assert_complete()


def test_a_break_loses_the_part_it_fell_into(finish):
    finish.fail_at = 3
    with pytest.raises(OSError, match="the disk is full"):
        finish()
    finish.fail_at = None
    assert finish()["image"].to_pylist() == list(range(7))
    assert finish.worked == [3, 4, 5, 6]
    finish.progress.assert_complete()


def test_what_follows_from_something_else_is_computed_again(finish):
    finish()
    finish("y")
    assert finish.worked == list(range(7))
    finish("x")
    assert finish.worked == []


def test_parts_are_no_smaller_than_a_batch(finish):
    finish(batch_size=8)
    assert finish.worked == list(range(7))
    finish()
    assert finish.worked == list(range(7)), "other parts"
