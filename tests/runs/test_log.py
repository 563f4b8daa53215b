import json

from vissum_jax.runs.log import EventLog, peak_memory


def test_every_event_is_one_line_of_json(tmp_path):
    log = EventLog(tmp_path / "log.jsonl")
    log.write("masks", part=0, statuses={"ok": 2}, image="größe\n.jpg")
    log.write("masks", part=1)
    records = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(record["event"], record["part"]) for record in records] == [("masks", 0), ("masks", 1)]
    assert records[0]["statuses"] == {"ok": 2}
    assert records[0]["image"] == "größe\n.jpg"
    assert records[0]["time"] <= records[1]["time"]


def test_events_of_an_earlier_session_stay(tmp_path):
    for number in range(2):
        EventLog(tmp_path / "log.jsonl").write("masks", part=number)
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 2


def test_the_peak_memory_is_in_bytes():
    block = bytearray(64 * 2**20)
    block[:: 2**12] = b"x" * len(block[:: 2**12])
    assert 64 * 2**20 < peak_memory() < 2**40
