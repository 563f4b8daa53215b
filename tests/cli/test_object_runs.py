"""Whole runs in a bucket, from the command line."""

import itertools
import json
import os

import pytest
import toys

from vissum_jax.pipeline import open_run
from vissum_jax.runs.objects import open_objects

_numbers = itertools.count()


@pytest.fixture
def bucket_run(request):
    """A place in a bucket of Amazon's kind of store, or of the one that a test names."""
    scheme = getattr(request, "param", "s3")
    request.getfixturevalue({"s3": "object_server", "gs": "google_server"}[scheme])
    return f"{scheme}://bucket/cli/{os.getpid()}-{next(_numbers)}"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    root = tmp_path_factory.mktemp("photos")
    (root / "toys.toml").write_text(toys.SETTINGS)
    toys.write_photographs(root / "photos", {0: 4, 1: 4})
    return root


def command(photos, out, *options):
    settings = ("--config", photos / "toys.toml", "--shard-size", 3)
    return ("run", photos / "photos", "--model", toys.MODEL, *settings, "--out", out, *options)


def files(storage, prefix=""):
    """Names of all objects but claims."""
    found = set()
    for name in storage.names():
        inner = storage.within(name)
        found |= files(inner, f"{prefix}{name}/") if inner.names() else {f"{prefix}{name}"}
    return found


def test_a_run_in_a_bucket_is_the_run_in_a_folder(vissum, photos, bucket_run, tmp_path):
    here = vissum(*command(photos, tmp_path / "run", "--json"))
    there = vissum(*command(photos, bucket_run, "--json"))
    assert (here.code, there.code) == (0, 0), there.complaint
    one, other = open_run(tmp_path / "run"), open_run(bucket_run)
    assert one.mask_rows().equals(other.mask_rows())
    for class_index in one.manifest.classes:
        assert one.summaries.read(class_index).equals(other.summaries.read(class_index), check_metadata=True)
    values = json.loads(there.out)
    assert values["run"] == bucket_run
    assert values["report"] == f"{bucket_run}/report/index.html"
    local = {path.relative_to(tmp_path / "run").as_posix() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    stored = {name for name in files(open_objects(bucket_run)) if not name.startswith("log/")}
    assert stored - {"leases", "masks/leases", "summaries/leases"} == local - {"log.jsonl"}
    page = open_objects(bucket_run).within("report").read("index.html").decode()
    assert page == (tmp_path / "run" / "report" / "index.html").read_text(encoding="utf-8").replace(
        str(tmp_path / "run"), bucket_run
    )


@pytest.mark.parametrize("bucket_run", ["gs", pytest.param("s3", marks=pytest.mark.slow)], indirect=True)
def test_a_run_in_a_bucket_goes_on_where_it_was_and_says_how_far_it_is(vissum, photos, bucket_run):
    first = vissum(*command(photos, bucket_run))
    assert first.code == 0, first.complaint
    status = json.loads(vissum("status", bucket_run, "--json").out)
    assert status["finished"]
    assert status["report"] == f"{bucket_run}/report/index.html"
    assert [(stage["stage"], stage["done"], stage["left"]) for stage in status["stages"]] == [
        ("masks", 3, 0),
        ("summaries", 2, 0),
    ]
    masks = open_objects(bucket_run).within("masks")
    kept = masks.version("part-00000.parquet")
    masks.remove("part-00001.done")
    status = json.loads(vissum("status", bucket_run, "--json").out)
    assert status["damaged"] == [["masks", 1, "part without a marker"]]
    assert vissum("worker", bucket_run).code == 0
    assert masks.version("part-00000.parquet") == kept
    assert not json.loads(vissum("status", bucket_run, "--json").out)["damaged"]
    changed = vissum(*command(photos, bucket_run, "--limit", 2))
    assert changed.code == 2
    assert "holds a run with another configuration" in changed.complaint


@pytest.mark.slow
def test_only_failed_photographs_of_a_run_in_a_bucket_are_tried_again(vissum, tmp_path, bucket_run):
    (tmp_path / "toys.toml").write_text(toys.SETTINGS)
    toys.write_photographs(tmp_path / "photos", {0: 4, 1: 4})
    broken = tmp_path / "photos" / "red_disc" / "1.png"
    whole = broken.read_bytes()
    broken.write_bytes(b"no picture")
    assert vissum(*command(tmp_path, bucket_run)).code == 1
    broken.write_bytes(whole)
    answer = vissum("retry", bucket_run)
    assert answer.code == 0, answer.complaint
    assert "1 of 1 failed image(s) recovered" in answer.out


@pytest.mark.parametrize("name", ["report", "export"])
def test_commands_that_work_on_folders_say_so(vissum, bucket_run, name):
    answer = vissum(name, bucket_run, *(("--format", "coco") if name == "export" else ()))
    assert answer.code == 2
    assert "is in an object store; this command works on folders" in answer.complaint


@pytest.mark.parametrize(("scheme", "server"), [("s3", "object_server"), ("gs", "google_server")])
def test_a_place_without_a_run_and_a_bucket_that_is_not_there_end_in_one_line(vissum, photos, request, scheme, server):
    request.getfixturevalue(server)
    answer = vissum("status", f"{scheme}://bucket/nowhere")
    assert answer.code == 2
    assert f"'{scheme}://bucket/nowhere' is not a RUN folder: it holds no manifest.json" in answer.complaint
    answer = vissum(*command(photos, f"{scheme}://nobucket/run"))
    assert answer.code == 2
    assert "nobucket" in answer.complaint
