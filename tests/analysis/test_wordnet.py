import pytest

from vissum_jax.analysis.wordnet import fused, label_noun
from vissum_jax.models.imagenet import imagenet_classes


def test_nouns_with_one_first_sense_become_one():
    assert fused("automobile") == fused("car") == fused("motorcar") == fused("auto") == "car"
    assert fused("sofa") == fused("couch")
    assert fused("golden retriever") != fused("retriever")


def test_a_later_sense_fuses_nothing():
    """A car is a cable car too, but first of all an automobile."""
    assert fused("cable car") == "cable car"
    assert fused("cable car") != fused("car")


def test_a_noun_without_synonyms_and_an_unknown_one_stay():
    assert fused("zither") in ("cither", "zither")
    assert fused("qwertyuiop") == "qwertyuiop"


def test_fusing_again_changes_nothing():
    nouns = [fused(noun) for noun in ("automobile", "couch", "lorry", "eyeglasses", "puma")]
    assert [fused(noun) for noun in nouns] == nouns


@pytest.mark.parametrize(
    ("wordnet_id", "noun"),
    [
        ("n02099601", "retriever"),  # golden retriever
        ("n02106662", "german shepherd"),  # whose last word is a man
        ("n02110958", "pug"),
        ("n04120489", "shoe"),  # running shoe
        ("n04591157", "tie"),  # Windsor tie
        ("n02917067", "train"),  # bullet train
    ],
)
def test_labels_come_down_to_what_they_are_a_kind_of(wordnet_id, noun):
    assert label_noun(wordnet_id) == noun


def test_every_class_of_imagenet_has_a_noun():
    nouns = [label_noun(wordnet_id) for wordnet_id in imagenet_classes().wordnet_ids]
    assert len(nouns) == 1000
    assert all(noun == noun.casefold() and "_" not in noun for noun in nouns)


def test_an_unknown_class_is_named():
    with pytest.raises(ValueError, match=r"^`wordnet_id` must be one of ImageNet's, got 'n00000000'\.$"):
        label_noun("n00000000")
