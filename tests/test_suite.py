"""The accelerator suite: what it counts, how it keeps to its time, and that it runs where little is installed."""

import csv
import dataclasses
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import bare, records, suite
from benchmarks.budget import Case, work_through
from benchmarks.measuring import Compilations, compiled
from benchmarks.operations import Peak, Work, network_work, roofline, work_of
from benchmarks.random_networks import LOGITS_DEVIATION, abstract_classifier, random_classifier, random_images
from benchmarks.steps import endless, forward_passes, search_passes, shortened, with_gradient
from vissum_jax.masks import phased
from vissum_jax.masks.config import PRESETS, CompactConfig, PhasedConfig
from vissum_jax.masks.solve import solve

ROOT = Path(__file__).parents[1]
WHERE = {"commit": "abc", "device": "1 x cpu (cpu)", "cores": 2, "versions": {"jax": "1"}}


# What is counted.


def test_a_product_counts_its_multiplications_twice_and_its_arrays_once():
    work = work_of(jnp.matmul, jnp.zeros((3, 5)), jnp.zeros((5, 7)))
    assert work == Work(2 * 3 * 5 * 7, 4 * (15 + 35 + 21))


def test_a_convolution_counts_its_window_and_the_channels_of_one_group():
    def convolve(images, kernel):
        return jax.lax.conv_general_dilated(
            images, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=4
        )

    work = work_of(convolve, jnp.zeros((2, 8, 8, 12)), jnp.zeros((3, 3, 3, 20)))
    assert work.operations == 2 * (2 * 4 * 4 * 20) * (3 * 3 * 3)


def test_a_loop_of_known_length_counts_as_often():
    def loop(x):
        return jax.lax.fori_loop(0, 6, lambda _, y: x @ y, x)

    x = jnp.zeros((4, 4))
    assert work_of(loop, x) == work_of(jnp.matmul, x, x) * 6


def test_a_loop_of_unknown_length_is_refused():
    def loop(x):
        return jax.lax.while_loop(lambda y: y[0, 0] < 1, lambda y: y @ y, x)

    with pytest.raises(ValueError, match="loop of unknown length"):
        work_of(loop, jnp.zeros((4, 4)))


@pytest.mark.parametrize(
    ("name", "published"), [("resnet50", 4.09e9), ("googlenet-bvlc", 1.58e9), ("efficientnet-lite0", 0.39e9)]
)
def test_networks_count_what_is_published_of_them(name, published):
    # Multiply-adds of a forward pass; two operations each, forwards and backwards.
    assert network_work(abstract_classifier(name), 1).operations == pytest.approx(4 * published, rel=0.02)


def test_counting_leaves_no_trace_of_another_backend():
    classifier = abstract_classifier("efficientnet-lite0")
    images = jnp.zeros((1, 224, 224, 3))
    network_work(classifier, 1)
    # On a processor, depthwise convolutions are sums of shifted slices.
    assert "feature_group_count=32" not in str(jax.make_jaxpr(classifier.apply)(classifier.params, images))


def test_weights_are_read_once_a_batch():
    classifier = abstract_classifier("flowernet")
    one, eight = network_work(classifier, 1), network_work(classifier, 8)
    assert eight.operations == 8 * one.operations
    assert one.bytes < eight.bytes < 8 * one.bytes


def test_the_roofline_names_the_larger_of_arithmetic_and_memory():
    found = roofline(Work(100.0, 30.0), 4.0, Peak(operations=50.0, bytes=10.0))
    assert found == (0.5, 0.75, 3.0)


def test_a_search_without_early_stops_spends_what_the_suite_says():
    config = endless(CompactConfig(first_bisections=2, last_bisections=1), 3)
    classifier = random_classifier("flowernet")
    images = jnp.asarray(random_images(2, 112))
    passes = np.asarray(solve(classifier, images, jnp.zeros(2, jnp.int32), jnp.ones(2, bool), config).passes)
    assert passes.tolist() == [search_passes(config)] * 2
    assert with_gradient(passes[0], config) == search_passes(config) - forward_passes(config) / 2


def test_random_networks_answer_neither_alike_nor_all_or_nothing():
    logits = {}
    for precision in ("float32", "bfloat16"):
        classifier = random_classifier("flowernet", precision)
        logits[precision] = np.asarray(classifier(jnp.asarray(random_images(4, 112)) / 255.0).logits)
    assert logits["float32"].std() == pytest.approx(LOGITS_DEVIATION, rel=1e-3)
    np.testing.assert_allclose(logits["bfloat16"], logits["float32"], atol=0.2)


def test_compilations_are_counted_and_programs_know_their_memory():
    x = jnp.arange(1000.0)
    heard = Compilations()
    program = compiled(lambda x: jnp.sin(x) * 3, x)
    assert heard.count == 1
    assert heard.seconds > 0
    program.step()
    assert heard.count == 1
    assert program.peak_bytes >= 2 * x.nbytes


# How it keeps to its time.


def test_cases_that_the_time_will_not_do_for_are_left_out_with_the_reason():
    def slow():
        time.sleep(0.2)
        return [{"case": "a"}]

    cases = [
        Case("first", 1, slow),
        Case("absent", 1, slow, missing="torch is not installed"),
        Case("large", 50, slow),
        Case("small", 0.5, slow),
    ]
    first, absent, large, small = work_through(cases, seconds=5, guess=0.1)
    assert first.rows == small.rows == ({"case": "a"},)
    assert first.seconds >= 0.2
    assert absent.skipped == "torch is not installed"
    # Judged by what the first one took, not by the guess.
    expected = float(re.fullmatch(r"it should take (\d+) s, and \d+ s are left", large.skipped)[1])
    assert expected == pytest.approx(50 * 1.3 * first.seconds, abs=1)
    assert not large.rows


def test_a_case_that_takes_longer_than_expected_is_cut_off():
    def endless():
        while True:
            time.sleep(0.01)

    began = time.perf_counter()
    cut, never = work_through([Case("a", 1, endless), Case("b", 1, lambda: [])], seconds=0.6, guess=0.1)
    assert time.perf_counter() - began < 3
    assert cut.skipped == "it was cut off: the budget of 1 s is spent"
    assert not cut.failed
    assert never.skipped


def test_a_case_that_fails_is_reported_and_the_others_go_on():
    def broken():
        raise RuntimeError("out of memory\nwhile allocating")

    failed, done = work_through([Case("a", 1, broken), Case("b", 1, lambda: [])], seconds=10, guess=1)
    assert failed.failed == "RuntimeError: out of memory while allocating"
    assert not done.failed


def test_plans_for_accelerators_begin_with_what_the_targets_are_about():
    plan = suite.plan_for("gpu", quick=False)
    cases = [case.name for case in suite.cases_of(plan, suite.Bench(plan.scale), "gpu")]
    assert cases[:3] == ["ceilings", "resnet50 bfloat16, value and gradient, batch 128", "resnet50 bfloat16, authors"]
    assert len(set(cases)) == len(cases)
    assert plan.seconds < 540


def test_another_batch_size_is_taken():
    assert suite.plan_for("gpu", quick=False, batch=64).scale.batch == 64


# What is kept.


def test_rows_are_appended_under_one_heading(tmp_path):
    path = records.device_file(WHERE, tmp_path)
    assert path.name == "cpu_2_cores.csv"
    records.append(path, [{"case": "a, b", "value": 1 / 3}], WHERE, "today")
    records.append(path, [{"case": "c", "note": "left out: no time"}], WHERE, "tomorrow")
    with path.open(newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["case"], first["value"], first["versions"]) == ("a, b", "0.333333", "jax 1")
    assert (second["measured"], second["value"], second["note"]) == ("tomorrow", "", "left out: no time")


@pytest.mark.parametrize(
    ("device", "name"),
    [("1 x NVIDIA H100 80GB HBM3 (gpu)", "nvidia_h100_80gb_hbm3.csv"), ("8 x TPU v5e (tpu)", "tpu_v5e_8_devices.csv")],
)
def test_a_device_has_a_file_of_its_own(device, name, tmp_path):
    assert records.device_file({"device": device, "cores": 16}, tmp_path).name == name


def test_rows_that_no_column_holds_are_refused(tmp_path):
    with pytest.raises(ValueError, match="surprise"):
        records.append(tmp_path / "a.csv", [{"case": "a", "surprise": 1}], WHERE, "today")


def test_a_file_with_other_columns_is_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("case,value\n")
    with pytest.raises(ValueError, match="has other columns; move it away"):
        records.append(path, [{"case": "a"}], WHERE, "today")


# Where little is installed.

BARE = """
import importlib.abc, sys

class Blocked(importlib.abc.MetaPathFinder):
    # As on a machine that has jax, flax, optax, numpy and scipy alone, with what these need.
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

BLOCKED = {
    "jaxtyping", "lazy_loader", "cv2", "sklearn", "skimage", "PIL", "pyarrow", "pycocotools", "safetensors", "tyro",
    "jinja2", "torch", "tensorflow_datasets", "matplotlib", "lemminflect", "pytest",
}
sys.meta_path.insert(0, Blocked())
import importlib.util
there = importlib.util.find_spec

def find_spec(name, package=None):
    return None if name in BLOCKED else there(name, package)

importlib.util.find_spec = find_spec
from benchmarks import suite
whole = suite.cases_of
suite.cases_of = lambda *arguments: whole(*arguments)[:4]
suite.QUICK_SECONDS = 500
sys.exit(suite.main(sys.argv[1:]))
"""


def run_bare(*arguments):
    """The first four cases, however long they take."""
    return subprocess.run(
        [sys.executable, "-c", BARE, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_runs_where_little_is_installed_and_keeps_rows_as_they_come(tmp_path):
    answer = run_bare("--device", "cpu", "--quick", "--json", "--results", str(tmp_path))
    assert answer.returncode == 0, answer.stderr
    result = json.loads(answer.stdout)
    assert result["stood_in"] == ["jaxtyping", "lazy_loader"]
    ceilings = [row for row in result["results"] if row["metric"] == "throughput, best round"]
    assert {row["unit"] for row in ceilings} == {"bytes/s", "operations/s"}
    (bare_row,) = [row for row in result["results"] if row["case"] == "flowernet float32, value and gradient"]
    assert bare_row["value"] > 0
    assert 0 < bare_row["share_of_peak"] < 10
    assert bare_row["recompilations"] == 0
    skipped = {entry["case"]: entry["reason"] for entry in result["skipped"]}
    assert skipped["flowernet float32, PyTorch"] == "torch is not installed"
    (file,) = tmp_path.iterdir()
    with file.open(newline="") as stream:
        kept = [row["case"] for row in csv.DictReader(stream)]
    assert len(kept) == len(result["results"]) + len(result["skipped"])


def test_another_device_than_the_one_asked_for_is_bad_usage():
    answer = run_bare("--device", "gpu", "--quick")
    assert answer.returncode == 2
    assert answer.stderr.splitlines()[-1] == "suite: error: JAX computes on cpu, not on gpu."


def test_stand_ins_are_put_only_where_a_package_is_missing():
    assert bare.stand_in() == ()
    assert sys.modules["jaxtyping"].__spec__ is not None


def test_stood_in_annotations_say_nothing_and_lazy_names_are_found():
    annotations = bare.STAND_INS["jaxtyping"]()
    assert annotations.Float[jax.Array, "h w"] | None  # as signatures write it
    with pytest.raises(AttributeError):
        _ = annotations.__path__
    find, names, every = bare.attach("vissum_jax.models", {"imagenet": ["imagenet_classes"]})
    assert len(find("imagenet_classes")().names) == 1000
    assert names() == every == ["imagenet_classes"]
    with pytest.raises(AttributeError, match="no attribute 'imagenet'"):
        find("imagenet")


@pytest.mark.parity
@pytest.mark.parametrize("name", suite.PORTED)
def test_peers_in_pytorch_are_the_same_networks(name):
    torch = pytest.importorskip("torch")
    from benchmarks.peers.torch_ports import peer_of

    classifier = random_classifier(name)
    images = random_images(2, classifier.spec.input_height) / 255.0
    ours = np.asarray(classifier(jnp.asarray(images, jnp.float32)).logits)
    theirs = peer_of(classifier)(torch.from_numpy(images.transpose(0, 3, 1, 2)).float()).numpy()
    np.testing.assert_allclose(theirs, ours, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_every_case_gives_rows_that_the_file_holds(device, tmp_path):
    # With an accelerator's cases, on whatever there is.
    plan = suite.plan_for(device, quick=True)
    plan = dataclasses.replace(plan, networks=("flowernet",), sweep=(1,), seconds=1e6)
    bench = suite.Bench(plan.scale)
    for case in suite.cases_of(plan, bench, device):
        if not case.missing:
            rows = case.run()
            assert rows
            records.append(tmp_path / "rows.csv", rows, WHERE, "today")
            assert all(row.get("recompilations", 0) == 0 for row in rows)


@pytest.mark.parity
def test_peers_in_pytorch_find_the_same_masks():
    pytest.importorskip("torch")
    from benchmarks.peers import torch_suite

    config = PRESETS["authors"]
    assert isinstance(config, PhasedConfig)
    short = shortened(config, len(config.phases))
    classifier = random_classifier("flowernet")
    images = random_images(2, 112).astype(np.float32) / 255.0
    own = np.array([3, 5])
    ours = np.asarray(phased.minimise(classifier, jnp.asarray(images), jnp.asarray(own), short))
    theirs = torch_suite.steps(classifier, images, own, short, bfloat16=False)
    # Adam's first steps go by the sign of the gradient: rounding decides where it is nearly zero.
    assert np.abs(theirs.strong() - ours).mean() < 1e-2
    assert np.abs(theirs.published() - ours[0]).mean() < 1e-2
    other = dataclasses.replace(classifier, apply=lambda params, x: classifier.apply(params, x[:, ::-1]))
    with pytest.raises(ValueError, match="PyTorch's flowernet answers something else"):
        torch_suite.steps(other, images, own, short, bfloat16=False)
