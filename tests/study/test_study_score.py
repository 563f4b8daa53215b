import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vissum_jax.study.answers import Answers
from vissum_jax.study.score import jaccard_distance, score

LETTERS = st.frozensets(st.sampled_from("abcd"))


def answer(participant, **nouns):
    """Answers to questions such as c7_0, nouns as letters."""
    keyed = {tuple(map(int, key[1:].split("_"))): tuple(given) for key, given in nouns.items()}
    return Answers(file=f"{participant}.json", study="0" * 16, participant=participant, nouns=keyed)


def scored(*answers):
    return score(answers, chance_pairs=4000, seed=0)


THREE = (
    answer("Ann", c7_0=["ear"], c7_1=["wheel", "tyre"], c9_0=[]),
    answer("Bob", c7_0=["Ears"], c7_1=["wheel"], c9_0=["x"]),
    answer("Cem", c7_0=["ear", "fur"], c9_0=[]),
)


def test_the_distance_of_the_paper():
    assert jaccard_distance({"a", "b"}, {"b", "c"}) == pytest.approx(2 / 3)
    assert jaccard_distance({"a"}, set()) == 1
    assert jaccard_distance(set(), set()) == 0


@given(LETTERS, LETTERS, LETTERS)
def test_the_distance_is_one(a, b, c):
    assert jaccard_distance(a, b) == jaccard_distance(b, a)
    assert (jaccard_distance(a, b) == 0) == (a == b)
    assert jaccard_distance(a, c) <= jaccard_distance(a, b) + jaccard_distance(b, c) + 1e-9


def test_summaries():
    ear, wheel, unknown = scored(*THREE).summaries
    assert [(each.class_index, each.summary) for each in (ear, wheel, unknown)] == [(7, 0), (7, 1), (9, 0)]
    assert ear.mu_u == pytest.approx((0 + 0.5 + 0.5) / 3)
    assert (ear.tag, ear.tag_share, ear.ties, ear.nouns) == ("ear", 1.0, (), {"ear": 3, "fur": 1})
    assert (wheel.mu_u, wheel.tag, wheel.tag_share, wheel.participants) == (0.5, "wheel", 1.0, 2)
    # Two who have no idea agree with each other, not with who has one.
    assert unknown.mu_u == pytest.approx(2 / 3)
    assert (unknown.mu_u_named, unknown.no_idea, unknown.tag_share) == (None, 2, pytest.approx(1 / 3))


def test_classes_are_means_over_their_summaries():
    found = scored(*THREE)
    seven, nine = found.classes
    assert (seven.class_index, seven.summaries, seven.no_idea, seven.tag_share) == (7, 2, 0.0, 1.0)
    assert seven.mu_u == pytest.approx((1 / 3 + 1 / 2) / 2)
    assert (nine.mu_u_named, nine.no_idea) == (None, pytest.approx(2 / 3))
    assert found.mu_u == pytest.approx((1 / 3 + 1 / 2 + 2 / 3) / 3)
    assert found.no_idea == pytest.approx(2 / 8)


def test_participants():
    found = scored(*THREE)
    assert (found.participants, found.answered) == (("Ann", "Bob", "Cem"), (3, 3, 2))
    assert np.isnan(np.diag(found.agreement)).all()
    np.testing.assert_allclose(found.agreement, found.agreement.T)
    assert found.agreement[0, 1] == pytest.approx((1 + 0.5 + 0) / 3)
    assert found.agreement[0, 2] == pytest.approx((0.5 + 1) / 2)


def test_nouns_as_common_as_the_tag_are_told():
    (summary,) = scored(answer("Ann", c0_0=["wing"]), answer("Bob", c0_0=["beak"]), answer("Cem", c0_0=[])).summaries
    assert (summary.tag, summary.ties, summary.tag_share) == ("beak", ("wing",), pytest.approx(1 / 3))


def test_one_participant_agrees_with_nobody():
    found = scored(answer("Ann", c0_0=["ear"]))
    assert (found.mu_u, found.chance, found.classes[0].mu_u, found.summaries[0].tag) == (None, None, None, "ear")


def test_participants_without_a_common_summary_have_no_agreement():
    found = scored(answer("Ann", c0_0=["ear"]), answer("Bob", c0_1=["ear"]))
    assert np.isnan(found.agreement).all()
    assert found.mu_u is None
    assert found.chance == 0


def test_answers_to_nothing_score_nothing():
    found = scored(answer("Ann"), answer("Bob"))
    assert (found.summaries, found.classes, found.mu_u, found.no_idea, found.chance) == ((), (), None, 0.0, None)


def test_chance_is_the_distance_between_answers_to_different_summaries():
    people = [answer(name, c0_0=["ear"], c0_1=["ear", "eye"], c0_2=["leg"]) for name in ("Ann", "Bob", "Cem")]
    sets = [{"ear"}, {"ear", "eye"}, {"leg"}]
    exact = np.mean([jaccard_distance(one, other) for one, other in itertools.permutations(sets, 2)])
    found = scored(*people)
    assert found.mu_u == 0
    assert found.chance == pytest.approx(exact, abs=0.03)
    assert found.chance == scored(*people).chance


def test_the_order_of_participants_does_not_matter():
    one, other = scored(*THREE), scored(*THREE[::-1])
    assert one.summaries == other.summaries
    assert one.classes == other.classes
    np.testing.assert_array_equal(one.agreement, other.agreement[::-1, ::-1])
