"""Workers on a Ray cluster of two nodes on this machine, without a network to explain.

All slow: Ray gives a node 30 seconds to start, which cannot be changed and is short beside other tests on two cores.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import batch_worker
import pytest
from batch_worker import rows_of

from vissum_jax.runs.log import EventLog
from vissum_jax.runs.store import PartStore

PARTS = 12

# In a process of its own: Ray leaves threads and sockets behind it, and this suite takes warnings for errors.
DRIVER = """
import json, sys
from pathlib import Path
import batch_worker
from ray.cluster_utils import Cluster
from vissum_jax.runs import ray_cluster
from vissum_jax.runs.store import PartStore

ray_cluster._GRACE = 2.0
folder, what = Path(sys.argv[1]), sys.argv[2]
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
cluster.wait_for_nodes()
store = PartStore(folder / "masks")
told = {"killed": 0, "stopped": False}

def watch():
    done = sum(store.done(number) for number in range(12))
    workers = {event["worker"] for event in batch_worker.events(folder)}
    if what == "kill" and len(workers) == 2 and not told["killed"]:
        cluster.remove_node(nodes[1], allow_graceful=False)
        told["killed"] = done

def stop():
    told["stopped"] = told["stopped"] or (what == "stop" and store.done(1))
    return told["stopped"]

wrong = ray_cluster.run_on_ray(
    batch_worker.serve, (str(folder), 12, 0.5, what), workers=2, address=cluster.address, stop=stop, watch=watch
)
print(json.dumps({"wrong": wrong, **told}))
cluster.shutdown()
"""


@pytest.fixture
def drive(tmp_path):
    """Lets two workers on two nodes finish a stage; gives what the driver saw."""
    pytest.importorskip("ray", reason="ray is not installed: it comes with the [ray] extra")
    paths = [str(Path(batch_worker.__file__).parent), str(Path(batch_worker.__file__).parents[1])]

    def run(what):
        answer = subprocess.run(
            [sys.executable, "-c", DRIVER, str(tmp_path), what],
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(paths),
                "JAX_PLATFORMS": "cpu",
                "RAY_USAGE_STATS_ENABLED": "0",
            },
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert answer.returncode == 0, answer.stderr
        return json.loads(answer.stdout.splitlines()[-1])

    return run


def assert_whole(folder):
    store = PartStore(folder / "masks")
    assert all(store.done(number) and store.read(number).equals(rows_of(number)) for number in range(PARTS))
    computed = [event["part"] for event in EventLog(folder / "log.jsonl").events() if event["event"] == "masks"]
    assert sorted(computed) == list(range(PARTS)), "each once"


@pytest.mark.slow
def test_when_one_of_two_nodes_is_killed_the_other_finishes(drive, tmp_path):
    seen = drive("kill")
    assert 0 < seen["killed"] < PARTS, "midway"
    assert_whole(tmp_path)
    assert list((tmp_path / "masks").glob("*.lease-*")) == []


@pytest.mark.slow
def test_workers_asked_to_stop_finish_what_they_are_at(drive, tmp_path):
    seen = drive("stop")
    assert seen["stopped"]
    assert seen["wrong"] == ["", ""]
    done = [number for number in range(PARTS) if PartStore(tmp_path / "masks").done(number)]
    assert 2 <= len(done) < PARTS
    assert list((tmp_path / "masks").glob("*.lease-*")) == []


@pytest.mark.slow
def test_what_goes_wrong_in_a_worker_is_said(drive):
    seen = drive("fail")
    assert all("no room at all" in wrong for wrong in seen["wrong"])
