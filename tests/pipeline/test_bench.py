import dataclasses

import jax
import numpy as np
import pytest
import toys

from vissum_jax.masks.config import PRESETS, CompactConfig, PhasedConfig
from vissum_jax.pipeline import bench, extract_masks
from vissum_jax.pipeline.bench import MaskTrial, MatchTrial, most_passes, rendered, run_trial
from vissum_jax.pipeline.settings import StageConfigs
from vissum_jax.proposals import ProposalConfig

STAGES = StageConfigs(proposals=ProposalConfig(min_side=8, max_proposals=32))


@pytest.fixture(scope="module")
def classifier():
    return toys.make_classifier()


@pytest.fixture(scope="module")
def trial(classifier):
    jax.clear_caches()  # what other tests have compiled would take no time here
    progress = toys.Recorder()
    result = run_trial(classifier, toys.mask_config(), STAGES, progress, batch_size=4, seconds=1.5)
    progress.assert_complete()
    return result


def test_whole_batches_are_searched_for_about_so_long(trial):
    assert trial.masks.images % 4 == 0
    assert trial.masks.images > 0
    assert trial.masks.seconds < 10
    assert trial.masks.compile_seconds > 0
    assert 0 < trial.masks.passes <= trial.masks.most_passes


def test_a_batch_is_searched_even_if_there_is_hardly_any_time(classifier):
    result = run_trial(classifier, toys.mask_config(), STAGES, toys.Recorder(), batch_size=4, seconds=1e-3)
    assert result.masks.images == 4


def test_what_is_extrapolated_says_from_what(trial):
    plain = trial.plain()
    measured, extrapolated = plain["measured"], plain["extrapolated"]
    assert measured["mask_images_per_second"] == measured["mask_images"] / measured["mask_seconds"]
    rate = measured["mask_images_per_second"]
    assert extrapolated["mask_hours"] == {
        "50000": pytest.approx(50_000 / rate / 3600),
        "1281167": pytest.approx(1_281_167 / rate / 3600),
    }
    share = measured["passes_per_image"] / extrapolated["most_passes_per_image"]
    assert extrapolated["mask_hours_at_most"]["50000"] == pytest.approx(50_000 / rate / 3600 / share)
    assert measured["boxes_per_image"] == 32
    assert extrapolated["matching_seconds_per_class"] > 0


def test_rates_follow_from_counts_and_times():
    masks = MaskTrial(images=30, seconds=10, compile_seconds=5, passes=50, most_passes=100)
    assert (masks.rate, masks.least_rate) == (3.0, 1.5)
    # 3 images, 6 pairs: 12 s for the pairs, 6 s for the images.
    matching = MatchTrial(images=3, boxes=10, seconds=18, pair_seconds=2)
    assert matching.class_seconds(3) == 18
    assert matching.class_seconds(50) == 2 * 50 + 2 * 1275


@pytest.mark.parametrize(
    "config",
    [
        CompactConfig(steps=3, patience=30, first_bisections=2, last_bisections=1, target_drop=0.999),
        dataclasses.replace(
            PRESETS["iebb"], phases=tuple(dataclasses.replace(p, iterations=2) for p in PRESETS["iebb"].phases)
        ),
    ],
    ids=["compact", "phased"],
)
def test_the_most_evaluations_are_those_of_a_search_that_never_stops_early(classifier, config):
    assert isinstance(config, CompactConfig | PhasedConfig)
    masks = extract_masks(classifier, rendered(classifier.spec, 2), config=config, keep_mispredicted=True)
    assert masks.passes.max() == most_passes(config)


def test_pictures_are_of_the_networks_size_and_differ(classifier):
    spec = dataclasses.replace(classifier.spec, input_height=48, input_width=64)
    images = rendered(spec, 3)
    assert images.shape == (3, 48, 64, 3)
    assert images.dtype == np.uint8
    assert not np.array_equal(images[0], images[1])
    np.testing.assert_array_equal(images, rendered(spec, 3))


def test_no_time_is_refused(classifier):
    with pytest.raises(ValueError, match="`seconds` must be positive, got 0"):
        run_trial(classifier, toys.mask_config(), STAGES, toys.Recorder(), batch_size=2, seconds=0)


def test_boxes_lie_within_the_picture(classifier):
    found = bench._random_boxes(5, 200, classifier.spec, 20).boxes
    assert found[..., :2].min() >= 0
    assert (found[..., :2] + found[..., 2:]).max() <= toys.SIDE
    assert found[..., 2:].min() >= 20
