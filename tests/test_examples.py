"""The schedulers' templates: stand-ins run here what a cluster would run, and the real command line parses it."""

import functools
import math
import re
from pathlib import Path

import pytest
import tyro
from schedulers import SLURM, called_by

from vissum_jax.cli.main import COMMANDS

EXAMPLES = Path(__file__).parents[1] / "examples"
USUAL = {"IMAGES": "tfds:imagenet2012/validation", "RUN": "gs://bucket/runs/all", "MODEL": "efficientnet-lite0"}
TPU = {"TPU": "slice", "ZONE": "us-central2-b"}
SCHEDULERS = {"slurm_array.sh": SLURM, "tpu_pod.sh": TPU}
ODD = {"IMAGES": "/data/my photos/$(x)", "RUN": "/scratch/it's mine", "MODEL": "net"}


@pytest.fixture
def call(tmp_path):
    """Runs a template; gives what `vissum` was called with and its environment."""
    return lambda name, **variables: called_by(EXAMPLES / name, tmp_path, variables)


def parsed(arguments):
    """What the real command line makes of arguments."""
    seen = {}

    @functools.wraps(COMMANDS["run"])
    def record(images, /, **options):
        seen.update(options, images=images)
        return 0

    tyro.extras.subcommand_cli_from_dict({**COMMANDS, "run": record}, prog="vissum", args=arguments)
    return seen


@pytest.mark.parametrize("surroundings", [USUAL, ODD], ids=["usual", "odd"])
@pytest.mark.parametrize("name", SCHEDULERS)
def test_the_command_that_a_template_gives_is_one_of_ours(call, name, surroundings):
    arguments, _ = call(name, **SCHEDULERS[name], **surroundings)
    seen = parsed(arguments)
    assert (seen["images"], seen["out"], seen["model"]) == tuple(surroundings.values())


def test_a_task_of_slurm_gets_the_cores_that_the_job_asks_for_and_small_parts(call):
    arguments, environment = call("slurm_array.sh", **SLURM, **USUAL)
    assert environment["SRUN_CPUS_PER_TASK"] == "8"
    assert parsed(arguments)["shard_size"] == 64


def test_a_host_of_a_pod_is_on_its_own_and_sees_all_its_chips(call):
    _, environment = call("tpu_pod.sh", **TPU, **USUAL)
    assert environment["TPU_PROCESS_BOUNDS"] == "1,1,1"
    bounds = [int(side) for side in environment["TPU_CHIPS_PER_PROCESS_BOUNDS"].split(",")]
    assert len(environment["TPU_VISIBLE_CHIPS"].split(",")) == math.prod(bounds)


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize("missing", USUAL)
def test_what_is_missing_is_named(call, name, missing):
    given = {key: value for key, value in USUAL.items() if key != missing}
    with pytest.raises(AssertionError, match=f"{missing}: "):
        call(name, **SCHEDULERS[name], **given)


def test_slurm_is_asked_for_what_its_manual_knows():
    asked = re.findall(r"^#SBATCH --([a-z-]+)(?:=(\S+))?$", (EXAMPLES / "slurm_array.sh").read_text(), re.MULTILINE)
    options = dict(asked)
    assert len(asked) == (EXAMPLES / "slurm_array.sh").read_text().count("#SBATCH")
    assert set(options) == {
        *("job-name", "array", "gres", "cpus-per-task", "mem", "time", "signal", "requeue", "output")
    }
    # Not `B:`: the signal goes to what srun started. %A and %a tell the logs of the array's tasks apart.
    assert re.fullmatch(r"TERM@\d+", options["signal"])
    assert "%A" in options["output"]
    assert "%a" in options["output"]
