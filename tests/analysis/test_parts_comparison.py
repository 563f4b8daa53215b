import numpy as np
import pytest

from vissum_jax.analysis.bootstrap import BootstrapConfig, paired_difference
from vissum_jax.analysis.parts_comparison import over_classes, parts_markdown, share_of_members

CONFIG = BootstrapConfig(resamples=200)
METHODS = ("summaries", "k_means")


def scores(purity, shuffled, **values):
    gain = None if purity is None or not shuffled else purity / shuffled
    empty = purity is None
    return {
        "reason": "no member" if empty else "",
        "members": 0 if empty else 10,
        "summaries": 0 if empty else 2,
        "purity": purity,
        "shuffled_purity": shuffled,
        "gain": gain,
        "nmi": None if empty else 0.5,
        "parts": 0 if empty else 3,
        "without_part": None if empty else 0.1,
        **values,
    }


def entry(name, ours, other, stability=None):
    methods = {"summaries": ours} if other is None else {"summaries": ours, "k_means": other}
    return {
        "class_name": name,
        "reason": ours["reason"],
        "stability": {"value": stability},
        "methods": methods,
    }


CLASSES = [
    entry("wren", scores(0.8, 0.4), scores(0.6, 0.3), 0.5),
    entry("crow|jay", scores(0.6, 0.2), scores(0.3, 0.2), 0.7),
    entry("none", scores(None, None), None),
    entry("half", scores(0.5, 0.5), scores(None, None, reason="NaN")),
]


def test_means_are_over_the_classes_that_have_a_value():
    found = over_classes(CLASSES, METHODS, CONFIG)
    ours, other = (found["over_classes"][method] for method in METHODS)
    assert (ours["classes"], other["classes"]) == (3, 2)
    assert ours["purity"] == pytest.approx((0.8 + 0.6 + 0.5) / 3)
    assert ours["gain"] == pytest.approx((0.8 + 0.6 + 0.5) / (0.4 + 0.2 + 0.5))
    assert ours["members"] == 10
    assert found["stability"] == pytest.approx(0.6)


def test_differences_are_paired_by_class():
    found = over_classes(CLASSES, METHODS, CONFIG)["differences"]
    wanted = paired_difference(np.array([0.8, 0.6]), np.array([0.6, 0.3]), CONFIG)
    assert found["k_means"]["purity"] == {
        "mean": pytest.approx(0.25),
        "low": wanted.low,
        "high": wanted.high,
        "classes": 2,
        "better_in": 2,
    }
    assert found["k_means"]["gain"]["mean"] == pytest.approx((0.0 + 1.5) / 2)
    assert found["k_means"]["gain"]["better_in"] == 1
    assert found["shuffled"]["purity"]["mean"] == pytest.approx((0.4 + 0.4 + 0.0) / 3)
    assert found["shuffled"]["purity"]["classes"] == 3


def test_without_any_value_there_are_no_figures():
    found = over_classes([CLASSES[2]], METHODS, CONFIG)
    assert found["over_classes"]["summaries"]["purity"] is None
    assert found["over_classes"]["k_means"]["classes"] == 0
    assert found["differences"]["k_means"]["purity"]["mean"] is None
    assert found["stability"] is None


def test_a_share_of_the_members_counts_large_classes_more():
    classes = [entry("wren", scores(0.8, 0.4, members=30, without_part=0.5), None), CLASSES[1], CLASSES[2]]
    assert share_of_members(classes, "without_part") == {"members": 40, "share": pytest.approx((15 + 1) / 40)}
    assert share_of_members([CLASSES[2]], "without_part") == {"members": 0, "share": None}


def test_the_tables_name_every_class_and_say_why_something_is_missing():
    without = share_of_members(CLASSES, "without_part")
    text = parts_markdown({**over_classes(CLASSES, METHODS, CONFIG), "without_part": without, "classes": CLASSES})
    lines = text.splitlines()
    assert lines[2].startswith("| summaries | 3 | 2.0 | 10.0 | 0.633 | 0.367 | 1.727 |")
    assert lines[3] == "| shuffled | 3 | - | - | 0.367 | - | - | - | - | - | +0.267 (+0.000 to +0.400) |"
    assert lines[4].startswith("| k-means | 2 |")
    assert lines[4].endswith("| +0.250 (+0.200 to +0.300) |")
    assert lines[6] == "Of the summaries' 30 members, all classes together, 0.100 show no part."
    assert lines[8].endswith(": 0.600.")
    crow, none = lines[13:15]
    assert crow == "| crow\\|jay | 2 | 10 | 0.600 | 0.200 | 3.000 | 0.500 | 3 | 0.100 | 0.700 | 0.300 |"
    assert none == "| none | 0 | 0 | - | - | - | - | 0 | - | - | - |"
    assert lines[-2:] == ["- none: no member.", "- half, k-means: NaN."]
