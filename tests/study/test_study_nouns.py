import pytest

from vissum_jax.study.nouns import MAX_LETTERS, SUGGESTIONS, normalise, normalise_all


@pytest.mark.parametrize(
    ("typed", "form"),
    [
        (" Ear ", "ear"),
        ("EARS", "ear"),
        ("the  dog-Ears!", "dog ear"),
        ("Dog_ear", "dog ear"),
        ("a wheel", "wheel"),
        ("a", "a"),
        ("eyes.", "eye"),
        ("teeth", "tooth"),
        ("leaves", "leaf"),
        ("\uff45\uff41\uff52", "ear"),  # full width
        ("d'Artagnan", "d'artagnan"),
        ("bird\u2019s beak", "bird's beak"),
        ("'beak'", "beak"),
        ("Straße", "strasse"),
        ("耳", "耳"),
        ("...", ""),
        ("", ""),
    ],
)
def test_forms(typed, form):
    assert normalise(typed) == form


@pytest.mark.parametrize("word", ["bus", "lens", "gas", "glass", "iris", "jeans", "glasses", "focus", "xylofonus"])
def test_words_that_only_look_like_plurals_stay(word):
    assert normalise(word) == word


@pytest.mark.parametrize(("one", "many"), [("bus", "buses"), ("lens", "lenses"), ("knife", "knives"), ("foot", "feet")])
def test_one_and_many_are_the_same_noun(one, many):
    assert normalise(one) == normalise(many) == one


@pytest.mark.parametrize("noun", SUGGESTIONS)
def test_forms_are_final(noun):
    assert normalise(normalise(noun)) == normalise(noun) != ""


def test_suggestions_are_in_order_distinct_and_short_enough():
    assert list(SUGGESTIONS) == sorted(set(SUGGESTIONS))
    assert max(map(len, SUGGESTIONS)) <= MAX_LETTERS


def test_nouns_of_an_answer_are_a_set_without_what_is_none():
    assert normalise_all(("Ear", "ears", "!", "eye")) == {"ear", "eye"}
