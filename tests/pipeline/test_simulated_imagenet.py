"""As many classes and photographs as ImageNet's validation set, with a tiny network: masks and summaries, end to end.

    pytest tests/pipeline/test_simulated_imagenet.py -m slow -s

prints what `python benchmarks/bench_batch.py --json` does: the throughput and what a part costs outside its work.
"""

import json

import pytest

from benchmarks.bench_batch import CLASSES, EACH, SHARD_SIZE, measure
from vissum_jax.pipeline.status import run_status

OVERHEAD = 0.05
"""Most that parts may cost outside their work, and masks outside the device's, by the whole."""


def run_through(tmp_path, *, classes, each, shard_size):
    """A run from tar files to summaries that leaves nothing out; the rows of the stages."""
    run, rows = measure(tmp_path, classes=classes, each=each, shard_size=shard_size)
    masks, summaries = rows[-2:]
    assert (masks["parts"], masks["parts_left"]) == (-(-classes * each // shard_size), 0)
    assert (summaries["parts"], summaries["parts_left"]) == (classes, 0)
    status = run_status(run.folder)
    assert (status.done, status.failed) == (classes * each, ())
    names = [image for image, _, _ in run.manifest.entries]
    assert run.mask_rows()["image"].to_pylist() == names, "every photograph once, in the manifest's order"
    for row in (masks, summaries):
        assert 0 < row["share_outside_parts"] < 1
        assert row["seconds_outside_a_part"] == pytest.approx(
            row["share_outside_parts"] * row["seconds"] / row["parts"]
        )
    assert masks["share_outside_parts"] < masks["share_outside_device"] < 1, "the search is within the parts' work"
    return rows


def test_a_small_part_of_the_simulated_imagenet_runs_through(tmp_path):
    run_through(tmp_path, classes=12, each=5, shard_size=32)


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)
def test_the_simulated_imagenet_runs_through_with_little_overhead(tmp_path, capsys):
    rows = run_through(tmp_path, classes=CLASSES, each=EACH, shard_size=SHARD_SIZE)
    with capsys.disabled():
        print(f"\n{json.dumps(rows, indent=1)}")
    for row in rows[-2:]:
        assert row["share_outside_parts"] < OVERHEAD, row
    assert rows[-2]["share_outside_device"] < OVERHEAD, rows[-2]
