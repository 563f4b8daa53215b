import json

import pytest

from vissum_jax.pipeline import open_run, stages


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr("vissum_jax.pipeline.run.SHARD_SIZE", 3)


@pytest.fixture
def interrupted(vissum, command, monkeypatch, tmp_path):
    """A run that was stopped after its first mask part."""
    extract, calls = stages.extract, []

    def stop_at_the_second(*args, **options):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return extract(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(stages, "extract", stop_at_the_second)
        assert vissum(*command).code == 130
    return tmp_path / "run"


def test_the_stages_of_an_interrupted_run_are_finished_one_by_one(vissum, interrupted):
    answer = vissum("masks", interrupted, "--json")
    assert (answer.code, json.loads(answer.out)) == (0, {"masks": str(interrupted / "masks")})
    assert len(open_run(interrupted).mask_rows()) == 8
    answer = vissum("summarize", interrupted, "--json")
    said = json.loads(answer.out)
    assert (answer.code, said["summaries"]) == (0, str(interrupted / "summaries"))
    for result in said["classes"]:
        assert len(result["importance"]) == result["summaries_kept"] > 0
        assert result["importance"] == sorted(result["importance"], reverse=True)
    answer = vissum("summarize", interrupted)
    assert answer.code == 0
    lines = [line.split() for line in answer.out.splitlines()]
    assert lines[0] == ["class", "summary", "images", "importance", "stability"]
    first = [line[-2] for line in lines[1:-1] if line[-4] == "0"]
    assert first == [f"{result['importance'][0]:.3f}" for result in said["classes"]]
    answer = vissum("report", interrupted)
    page = interrupted / "report" / "index.html"
    assert (answer.code, answer.out) == (0, f"report: {page}\n")
    assert page.is_file()


def test_summaries_before_masks_are_refused_with_the_remedy(vissum, interrupted):
    answer = vissum("summarize", interrupted)
    assert (answer.code, answer.out) == (2, "")
    assert answer.complaint.endswith(
        f"2 of 3 parts of its masks are not done; finish them with `vissum masks {interrupted}`."
    )


def test_a_report_before_masks_is_refused_with_the_remedy(vissum, interrupted):
    answer = vissum("report", interrupted)
    assert answer.code == 2
    assert f"`vissum masks {interrupted}`" in answer.complaint


def test_a_report_before_summaries_is_refused_with_the_remedy(vissum, interrupted):
    assert vissum("masks", interrupted).code == 0
    answer = vissum("report", interrupted)
    assert answer.code == 2
    assert answer.complaint.endswith(
        f"2 of 2 parts of its summaries are not done; finish them with `vissum summarize {interrupted}`."
    )


@pytest.mark.parametrize("command_name", ["masks", "summarize", "report"])
def test_a_folder_that_is_no_run_is_named(vissum, tmp_path, command_name):
    answer = vissum(command_name, tmp_path / "nowhere")
    assert answer.code == 2
    assert "nowhere' is not a RUN folder: it holds no manifest.json." in answer.complaint


def test_a_batch_of_no_images_is_refused(vissum, interrupted):
    for stage in ("masks", "summarize"):
        answer = vissum(stage, interrupted, "--batch-size", 0)
        assert answer.code == 2
        assert "must be at least 1, got 0." in answer.complaint


def test_a_photograph_that_changed_is_named(vissum, command, interrupted, photos, monkeypatch):
    assert vissum("masks", interrupted).code == 0
    decode = stages._read

    def other_photographs(run, entries):
        images, decoded = decode(run, entries)
        return images, [result._replace(content_hash="other") for result in decoded]

    monkeypatch.setattr(stages, "_read", other_photographs)
    answer = vissum("summarize", interrupted)
    assert answer.code == 2
    assert "'red_disc/0.png' has changed since its mask was found; put it back" in answer.complaint
