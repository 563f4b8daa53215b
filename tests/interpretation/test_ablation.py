import jax.numpy as jnp
import numpy as np
from feature_toys import make_classifier, photograph

from vissum_jax.interpretation.ablation import logits_without, random_others
from vissum_jax.interpretation.responses import Columns, response_columns

IMAGES = jnp.asarray(np.stack([photograph(number, number) for number in range(3)]) / 255, jnp.float32)


def test_with_nothing_off_the_network_answers_as_ever():
    classifier = make_classifier()
    columns = response_columns(classifier)
    found = logits_without(classifier, IMAGES, np.zeros((3, len(columns)), bool), columns=columns)
    np.testing.assert_allclose(found, classifier(IMAGES).logits, rtol=1e-5, atol=1e-5)


def test_each_image_goes_without_filters_of_its_own():
    classifier = make_classifier()
    columns = response_columns(classifier)
    off = np.zeros((3, len(columns)), bool)
    off[0, columns.column("colours", 0)] = True  # the detector of red
    off[1, columns.column("blurred", 1)] = True  # green itself
    found = np.asarray(logits_without(classifier, IMAGES, off, columns=columns))
    before = np.asarray(classifier(IMAGES).logits)
    assert found[0, 0] == 0 < before[0, 0]
    np.testing.assert_allclose(found[0, 1:], before[0, 1:], rtol=1e-5)
    assert found[1, 1] == 0 < before[1, 1]
    np.testing.assert_allclose(found[2], before[2], rtol=1e-5)


def test_random_others_are_as_many_of_each_layer_and_none_of_those():
    columns = Columns(("a", "b", "c"), (10, 20, 30))
    off = np.zeros(60, bool)
    off[[1, 3, 12, 13, 14]] = True
    drawn = [random_others(off, columns, seed=(0, draw)) for draw in range(20)]
    for each in drawn:
        assert [each[columns.of_layer(layer)].sum() for layer in columns.layers] == [2, 3, 0]
        assert not (each & off).any()
    assert len({each.tobytes() for each in drawn}) > 10
    np.testing.assert_array_equal(random_others(off, columns, seed=(0, 3)), drawn[3])


def test_where_too_few_others_are_the_rest_comes_from_those():
    columns = Columns(("a",), (5,))
    drawn = random_others(np.array([True, True, True, False, False]), columns, seed=(1,))
    assert drawn.sum() == 3
    assert drawn[3:].all()
