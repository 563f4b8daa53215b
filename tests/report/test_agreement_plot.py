import cv2
import numpy as np
import pytest

from vissum_jax.report.agreement_plot import AgreementStyle, agreement_picture
from vissum_jax.study.answers import Answers
from vissum_jax.study.score import score


def study(people, classes, noun=lambda person, index: f"n{(person * index) % 3}"):
    answers = [
        Answers(
            file="a",
            study="0",
            participant=f"$x^{person}$ <b> \u4e2d \x1b",
            nouns={(index, number): (noun(person, index),) for index in range(classes) for number in range(2)},
        )
        for person in range(people)
    ]
    return score(answers, chance_pairs=50, seed=0)


def read(data):
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


@pytest.mark.parametrize(("people", "classes"), [(1, 1), (2, 1), (5, 4), (70, 2)])
def test_any_study_is_drawn_without_a_warning(people, classes):
    picture = read(agreement_picture(study(people, classes), {0: "$\\frac{ <script>" + "x" * 300}))
    assert picture.shape[1] == 1200
    assert picture.std() > 5


def test_nothing_answered_is_drawn_too():
    found = score([Answers(file="a", study="0", participant="Ann", nouns={})], chance_pairs=1, seed=0)
    assert read(agreement_picture(found, {})) is not None


def test_the_same_scores_give_the_same_bytes():
    found = study(3, 3)
    assert agreement_picture(found, {}) == agreement_picture(found, {})


def test_many_classes_stay_a_picture_of_a_bounded_size():
    style = AgreementStyle()
    height = read(agreement_picture(study(2, 300), {})).shape[0]
    assert height <= style.dots * (style.height + style.most_classes * style.class_height) + 1
