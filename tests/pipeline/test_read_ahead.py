import threading

import pytest

from vissum_jax.pipeline.read_ahead import ReadAhead


def next_of(number):
    return number + 1 if number < 3 else None


def test_the_next_part_is_read_while_this_one_is_worked_on():
    read = []
    began = threading.Event()

    def reader(number):
        read.append(number)
        if number == 1:
            began.set()
        return f"part {number}"

    with ReadAhead(reader, next_of) as ahead:
        assert ahead(0) == "part 0"
        assert began.wait(10), "nobody has asked for it yet"
        assert [ahead(number) for number in (1, 2, 3)] == ["part 1", "part 2", "part 3"]
    assert read == [0, 1, 2, 3], "each once"


def test_a_guess_that_was_wrong_costs_nothing_but_its_reading():
    with ReadAhead(lambda number: number * 10, next_of) as ahead:
        assert [ahead(0), ahead(2), ahead(0), ahead(1)] == [0, 20, 0, 10]


def test_an_error_comes_where_the_part_is_asked_for():
    def reader(number):
        if number == 1:
            raise OSError("the disk is gone")
        return number

    with ReadAhead(reader, next_of) as ahead:
        assert ahead(0) == 0
        with pytest.raises(OSError, match="the disk is gone"):
            ahead(1)
    with ReadAhead(reader, next_of) as ahead:
        assert [ahead(0), ahead(2)] == [0, 2], "nobody asked for the broken one"


def test_no_thread_is_left():
    with ReadAhead(lambda number: number, next_of) as ahead:
        ahead(0)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("read-ahead")]
