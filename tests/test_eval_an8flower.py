import pytest

from benchmarks.eval_an8flower import targets


def figures(
    *, lost: float = 0.375, random: float = 0.125, share: float | None = 0.9, ratio: float = 0.5, ve: float = 23.0
):
    selected = {"check": {"own": {"accuracy_lost": lost, "random_accuracy_lost": random}}}
    others = {"deconvnet": {"auc": 21.0}, "grad_cam": {"auc": 17.0}}
    heatmaps = {"methods": {"ve": {"auc": ve}, **others}, "stride_fix": {"ve": {"ratio": ratio}}}
    return targets(selected, heatmaps, {"on_own_part": {"members": 3, "share": share}})


def met(found) -> dict[str, bool]:
    beaten = {f"ve_beats_{name}": each["met"] for name, each in found.pop("ve_beats").items()}
    return {**beaten, **{name: each["met"] for name, each in found.items()}}


def test_all_targets_may_be_met_exactly():
    assert all(met(figures()).values())


@pytest.mark.parametrize(
    ("change", "missed"),
    [
        ({"lost": 0.37}, {"relevant_filters_cost_three_times"}),
        ({"lost": 0.0, "random": 0.0}, {"relevant_filters_cost_three_times"}),
        ({"lost": 0.01, "random": 0.0}, set()),
        ({"share": 0.89}, {"members_on_the_discriminative_part"}),
        ({"share": None}, {"members_on_the_discriminative_part"}),
        ({"ratio": 0.51}, {"grid_energy_at_least_halved"}),
        ({"ve": 20.0}, {"ve_beats_deconvnet"}),
        ({"ve": 17.0}, {"ve_beats_deconvnet", "ve_beats_grad_cam"}),
    ],
)
def test_a_target_that_is_missed_is_told(change, missed):
    assert {name for name, reached in met(figures(**change)).items() if not reached} == missed
