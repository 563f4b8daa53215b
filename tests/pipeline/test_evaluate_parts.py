import itertools
import json
import re

import numpy as np
import pytest
import toys
from toy_runs import summary, write_run

from vissum_jax.analysis.parts import PartConfig
from vissum_jax.data.an8flower import PART_NAMES
from vissum_jax.data.an8flower.dataset import label_image
from vissum_jax.data.part_points import read_part_points
from vissum_jax.data.truth_masks import PartLabels
from vissum_jax.pipeline import NotReadyError, RunConfig, open_run, start_run
from vissum_jax.pipeline.evaluate_parts import PartsConfig, evaluate_parts, plan_parts, seeded
from vissum_jax.pipeline.part_baselines import BASELINES
from vissum_jax.pipeline.part_truth import LabelTruth, PointTruth

COUNTS = {0: 6, 1: 6, 2: 3}
CORNERS = {"north west": (16, 16), "north east": (48, 16), "south west": (16, 48), "south east": (48, 48)}
NW, NE, SW, SE = ((x - 12, y - 12, 24, 24) for x, y in CORNERS.values())
NOWHERE = (28, 28, 8, 8)


def everywhere(box):
    return dict.fromkeys(range(6), box)


# Class 0: summaries that are parts. Class 1: two no better than chance, and one that is dropped. Class 2: none.
PERFECT = [summary(0, everywhere(NW)), summary(1, everywhere(SE)), summary(2, {0: NE, 1: NE, 2: NE})]
MIXED = [
    summary(0, {0: NW, 1: NE, 2: SW, 3: SE, 4: NW}, left_out=(4,)),
    summary(1, {0: SE, 1: SW, 2: NE, 3: NW}),
    summary(2, everywhere(NOWHERE), kept=False),
]


def annotate(path, folders=("red_disc", "green_square", "blue_bar")):
    lines = ["file,part,x,y"]
    for folder in folders:
        lines += [f"{folder}/{row}.png,{part},{x},{y}" for row in range(6) for part, (x, y) in CORNERS.items()]
    path.write_text("\n".join(lines) + "\n")
    return PointTruth(read_part_points(path))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    photos = toys.write_photographs(folder / "photos", COUNTS)
    return write_run(photos, folder / "run", {0: PERFECT, 1: MIXED})


@pytest.fixture(scope="module")
def points(tmp_path_factory):
    return annotate(tmp_path_factory.mktemp("annotations") / "parts.csv")


@pytest.fixture(scope="module")
def values(run, points):
    progress = toys.Recorder()
    found = evaluate_parts(plan_parts(run, points), progress)
    progress.assert_complete()
    return found


def own(values, number):
    return values["classes"][number]["methods"]["summaries"]


def test_summaries_that_are_parts_are_pure(values):
    found = own(values, 0)
    assert (found["purity"], found["members"], found["summaries"], found["parts"]) == (1.0, 15, 3, 3)
    assert found["nmi"] == pytest.approx(1.0)
    assert 0.4 <= found["shuffled_purity"] < 0.7
    assert found["without_part"] == 0.0


def test_summaries_of_everything_are_not(values):
    found = own(values, 1)
    assert (found["purity"], found["members"]) == (0.25, 8), "a part a member, and what was left out does not count"
    assert found["purity"] < found["shuffled_purity"]
    assert (found["nmi"], found["parts"]) == (pytest.approx(0.0, abs=1e-9), 4)


def test_a_class_without_summaries_has_a_reason_and_the_others_their_figures(values):
    none = values["classes"][2]
    assert none["reason"] == none["stability"]["reason"] == "no cluster is large and consistent enough"
    assert none["methods"]["summaries"]["purity"] is None
    assert list(none["methods"]) == ["summaries"]
    assert values["over_classes"]["summaries"]["classes"] == 2
    assert values["over_classes"]["summaries"]["purity"] == pytest.approx((1.0 + 0.25) / 2)


def test_every_baseline_groups_the_same_members_into_as_many_groups(values):
    for entry in values["classes"][:2]:
        ours = entry["methods"]["summaries"]
        assert list(entry["methods"]) == ["summaries", *BASELINES]
        for name in ("k_means", "agglomerative", "craft"):
            found = entry["methods"][name]
            assert (found["members"], found["reason"]) == (ours["members"], "")
            assert found["summaries"] <= ours["summaries"]
            assert found["without_part"] == ours["without_part"]
        assert entry["methods"]["ace"]["members"] > 0


def test_differences_are_those_of_the_classes(values):
    purity = [[entry["methods"][name]["purity"] for entry in values["classes"][:2]] for name in ("summaries", "ace")]
    found = values["differences"]["ace"]["purity"]
    assert found["mean"] == pytest.approx(np.mean(purity[0]) - np.mean(purity[1]))
    assert found["classes"] == 2
    assert set(values["differences"]) == {"shuffled", *BASELINES}


def test_stability_asks_both_halves_about_every_member_that_is_a_proposal(values):
    for number, members in ((0, 15), (1, 8)):
        found = values["classes"][number]["stability"]
        assert found["members"] + found["missing"] == members
        assert [half["photographs"] for half in found["halves"]] == [3, 3]


def test_the_files_hold_what_is_returned(run, values):
    folder = run.folder / "evaluation"
    assert json.loads((folder / "parts.json").read_text()) == json.loads(json.dumps(values))
    table = (folder / "parts.md").read_text()
    assert "| red disc | 3 | 15 | 1.000 |" in table
    assert table.endswith("- blue bar: no cluster is large and consistent enough.\n")
    assert (folder / "parts.png").read_bytes().startswith(b"\x89PNG")


def test_done_once_groups_are_not_computed_again_and_give_the_same(run, points, values, monkeypatch):
    def never(*_, **__):
        raise AssertionError("computed again")

    before = (run.folder / "evaluation" / "parts.json").read_bytes()
    monkeypatch.setattr("vissum_jax.pipeline.evaluate_parts.group_anew", never)
    monkeypatch.setattr("vissum_jax.pipeline.evaluate_parts.half_stability", never)
    evaluate_parts(plan_parts(open_run(run.folder), points), toys.Recorder())
    assert (run.folder / "evaluation" / "parts.json").read_bytes() == before
    with pytest.raises(AssertionError, match="computed again"):
        evaluate_parts(plan_parts(run, points, config=seeded(1)), toys.Recorder())


def test_the_same_seed_gives_the_same_from_the_start(values, points, tmp_path):
    photos = toys.write_photographs(tmp_path / "photos", COUNTS)
    other = write_run(photos, tmp_path / "run", {0: PERFECT, 1: MIXED})
    found = evaluate_parts(plan_parts(other, points), toys.Recorder())
    for name in ("classes", "over_classes", "differences", "stability"):
        assert found[name] == values[name]


def test_merged_sides_are_one_part(run, tmp_path):
    path = tmp_path / "parts.csv"
    annotate(path)
    path.write_text(path.read_text().replace("north west", "left eye").replace("south east", "right eye"))
    config = PartsConfig(baselines=())
    for merge, parts in ((False, 3), (True, 2)):
        plan = plan_parts(run, PointTruth(read_part_points(path, merge_sides=merge)), config=config)
        assert own(evaluate_parts(plan, toys.Recorder()), 0)["parts"] == parts


def test_a_class_without_annotations_has_a_reason(run, tmp_path):
    points = annotate(tmp_path / "parts.csv", ["red_disc"])
    found = evaluate_parts(plan_parts(run, points, config=PartsConfig(baselines=())), toys.Recorder())
    assert own(found, 0)["purity"] == 1.0
    assert found["classes"][1]["reason"] == "none of its 8 boxes lies in an annotated photograph"
    assert found["over_classes"]["summaries"]["classes"] == 1


def test_annotations_of_other_photographs_are_refused(run, tmp_path):
    points = annotate(tmp_path / "parts.csv", ["crane"])
    message = "no part is annotated in any of the 15 photographs, as 'red_disc/0.png'; the column"
    # 'crane/0' and 'red_disc/0' have the same name, but neither path is the end of the other.
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        plan_parts(run, points)


def test_a_run_without_summaries_is_sent_to_the_stage_that_is_missing(run, points, tmp_path):
    started = start_run(RunConfig(**{**run.manifest.request, "classes": ()}), tmp_path / "run")
    with pytest.raises(NotReadyError, match=r"parts of its masks are not done; finish them with `vissum masks"):
        plan_parts(started, points)


def test_a_single_photograph_with_one_summary_is_scored(points, tmp_path):
    photos = toys.write_photographs(tmp_path / "photos", {0: 1})
    one = write_run(photos, tmp_path / "run", {0: [summary(0, {0: NW})]})
    found = evaluate_parts(plan_parts(one, points), toys.Recorder())
    assert own(found, 0)["purity"] == own(found, 0)["shuffled_purity"] == 1.0
    assert found["classes"][0]["stability"]["value"] is None
    assert found["stability"] is None


def test_identical_photographs_are_scored(points, tmp_path):
    photos = toys.write_photographs(tmp_path / "photos", {0: 4})
    for row in range(1, 4):
        (photos / "red_disc" / f"{row}.png").write_bytes((photos / "red_disc" / "0.png").read_bytes())
    told = [summary(0, dict.fromkeys(range(4), NW)), summary(1, dict.fromkeys(range(4), SE))]
    found = evaluate_parts(plan_parts(write_run(photos, tmp_path / "run", {0: told}), points), toys.Recorder())
    assert own(found, 0)["purity"] == 1.0
    assert {name: entry["reason"] for name, entry in found["classes"][0]["methods"].items() if entry["reason"]} == {}


def test_rendered_truth_tells_what_makes_a_class(run, tmp_path):
    """Summaries of class 0 lie north west and south east of what is called petals; those of class 1 anywhere."""
    labels = np.zeros((toys.SIDE, toys.SIDE), np.uint8)
    labels[:32, :32], labels[32:, 32:], labels[:32, 32:], labels[32:, :32] = 1, 1, 4, 5
    truth = PartLabels(tmp_path, PART_NAMES, {"red_disc": (0,), "green_square": (0, 3)})
    for folder, row in itertools.product(("red_disc", "green_square"), range(6)):
        (tmp_path / folder).mkdir(exist_ok=True)
        label_image(labels).save(tmp_path / folder / f"{row}.png")
    plan = plan_parts(run, LabelTruth(truth, PartConfig()), config=PartsConfig(baselines=("k_means",)))
    found = evaluate_parts(plan, toys.Recorder())
    assert [entry["methods"]["summaries"].get("on_own_part") for entry in found["classes"]] == [0.8, 0.75, None]
    assert found["classes"][1]["methods"]["k_means"]["on_own_part"] == 0.75
    assert found["on_own_part"] == {"members": 23, "share": pytest.approx((0.8 * 15 + 0.75 * 8) / 23)}
    table = (run.folder / "evaluation" / "parts.md").read_text()
    assert "Of the summaries' 23 members 0.783 show a part that makes their class." in table
    assert "| on own part |" in table


def test_labels_of_other_photographs_are_refused(run, tmp_path):
    truth = LabelTruth(PartLabels(tmp_path, PART_NAMES, {}), PartConfig())
    message = "no part is annotated in any of the 15 photographs, as 'red_disc/0.png'; files of the same names must be"
    with pytest.raises(ValueError, match=f"^{re.escape(message)} in "):
        plan_parts(run, truth)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"baselines": ("kmeans",)}, "unknown baseline 'kmeans'; known are k_means, agglomerative, ace, craft."),
        ({"seed": -1}, "`seed` must not be negative, got -1."),
    ],
)
def test_constants_out_of_range_are_refused(values, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        PartsConfig(**values)
