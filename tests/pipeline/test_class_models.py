import numpy as np
import toys

from vissum_jax.deep_inside.class_model import ClassModelConfig
from vissum_jax.pipeline.class_models import IMAGENET_MEAN, find_class_models, mean_colour

MEAN = np.full(3, 0.5, np.float32)


def test_the_mean_colour_is_the_networks_own_in_rgb():
    np.testing.assert_allclose(mean_colour("googlenet-bvlc"), np.array([123, 117, 104]) / 255)
    np.testing.assert_allclose(mean_colour("efficientnet-lite0"), np.full(3, 127) / 255)
    np.testing.assert_allclose(mean_colour("my_package:my_network"), IMAGENET_MEAN)


def test_the_last_batch_is_filled_up_and_the_filling_left_out():
    progress = toys.Recorder()
    config = ClassModelConfig(steps=3, rate=0.1)
    classifier = toys.make_classifier()
    found = find_class_models(classifier, [2, 0, 1], config, progress, mean=MEAN, batch_size=2)
    progress.assert_complete()
    assert [model.class_index for model in found] == [2, 0, 1]
    (alone,) = find_class_models(classifier, [1], config, toys.Recorder(), mean=MEAN)
    assert abs(alone.score - found[2].score) < 1e-3


def test_names_of_files_are_made_of_letters_and_numbers():
    classifier = toys.make_classifier()
    (found,) = find_class_models(classifier, [0], ClassModelConfig(steps=1), toys.Recorder(), mean=MEAN)
    hostile = type(found)(**{**vars(found), "class_name": "../../x\x1b[2J/" + "y" * 300})
    assert found.file == "0000_red_disc.png"
    assert set(hostile.file) <= set("0123456789abcdefghijklmnopqrstuvwxyz_.")
    assert "/" not in hostile.file
    assert len(hostile.file) < 80
