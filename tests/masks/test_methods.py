import numpy as np
import pytest
import toys
from oracles.attribution import colour_net, colour_picture, share_inside

from vissum_jax.attribution.gradient import SmoothedGradientConfig, SmoothGradConfig
from vissum_jax.attribution.guided import guided_relu
from vissum_jax.attribution.random_field import RandomConfig
from vissum_jax.attribution.rise import RiseConfig
from vissum_jax.data.an8flower import FlowerConfig, flower_classes, render_flower
from vissum_jax.masks.config import PRESETS, PhaseConfig, PhasedConfig
from vissum_jax.masks.extremal import ExtremalConfig
from vissum_jax.masks.methods import METHODS, importance
from vissum_jax.models import load_classifier

PICTURES = [colour_picture(class_index, seed) for class_index in range(3) for seed in (50, 51)]
IMAGES = np.stack([picture for picture, _ in PICTURES])
CLASSES = np.repeat(np.arange(3), 2)


PHASE = PhaseConfig(iterations=40, area_weight=0.2, tv_weight=1e-4, crisp_weight=0.0, grid=8, smoothing_sigma=1.0)
SMALL = {
    "iebb": PhasedConfig(name="short", phases=(PHASE,)),
    "random": RandomConfig(grid=8),
    "smoothed_gradient": SmoothedGradientConfig(sigma=2.0),
    "smooth_grad": SmoothGradConfig(samples=5, noise=0.1),
    "rise": RiseConfig(masks=400, grid=6),
    "extremal": ExtremalConfig(step=3, sigma=6.0, sigma_max=10.0, iterations=100, area_weight=30.0),
}
QUICK = tuple(name for name in METHODS if name not in PRESETS or name == "iebb")  # all presets go one way


def find(method, rows=slice(None), **options):
    options = {"batch_size": 4, "config": SMALL.get(method), "guided": colour_net(guided_relu), **options}
    return importance(colour_net(), IMAGES[rows], CLASSES[rows], method=method, **options)


@pytest.fixture(scope="module")
def found():
    return {method: find(method) for method in QUICK}


def test_all_methods_are_there():
    assert set(METHODS) == {
        *PRESETS,
        "random",
        "gradient",
        "smoothed_gradient",
        "smooth_grad",
        "grad_cam",
        "grad_cam_pp",
        "guided_backprop",
        "deconvnet",
        "guided_grad_cam",
        "rise",
        "extremal",
    }
    assert all(METHODS[name].config is config for name, config in PRESETS.items())


@pytest.mark.parametrize("method", QUICK)
def test_maps_come_to_the_host_one_an_image(found, method):
    maps = found[method].maps
    assert isinstance(maps, np.ndarray)
    assert maps.shape == (6, 32, 32)
    assert maps.dtype == np.float32
    assert np.isfinite(maps).all()


@pytest.mark.parametrize("method", [method for method in QUICK if method != "random"])
def test_the_evidence_comes_first(found, method):
    shares = [share_inside(maps, own, 0.06) for maps, (_, own) in zip(found[method].maps, PICTURES, strict=True)]
    chance = np.mean([own.mean() for _, own in PICTURES])
    assert np.mean(shares) > 7 * chance


def test_passes_are_counted(found):
    expected = {"random": 0, "gradient": 1, "smooth_grad": 5, "guided_grad_cam": 2, "rise": 400, "extremal": 100}
    for method, passes in expected.items():
        assert found[method].passes.tolist() == [passes] * 6
    assert found["iebb"].passes.tolist() == [44] * 6, "forty steps and four judgements"


@pytest.mark.parametrize("method", QUICK)
def test_a_map_depends_on_its_image_alone(found, method):
    order = np.array([4, 1, 5, 0, 2])
    maps = find(method, order, batch_size=4).maps
    tolerance = 1e-2 if method in ("iebb", "extremal") else 1e-5  # many steps amplify rounding
    np.testing.assert_allclose(maps, found[method].maps[order], atol=tolerance)


def test_random_maps_follow_the_seed():
    a, b, again = (find("random", seed=seed).maps for seed in (1, 2, 1))
    np.testing.assert_array_equal(a, again)
    assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.3


def test_extremal_regions_have_each_its_area():
    areas = np.array([0.05, 0.1, 0.2, 0.05, 0.1, 0.2])
    maps = find("extremal", area=areas).maps
    assert np.all(np.diff(maps.mean((1, 2)).reshape(2, 3), axis=1) > 0.01)


def test_a_method_is_compiled_once():
    config = RiseConfig(masks=3, grid=5)
    run = METHODS["rise"].run
    before = run._cache_size()
    for rows in (slice(0, 5), slice(1, 3), slice(None)):
        find("rise", rows, config=config)
    assert run._cache_size() == before + 1


def test_progress_adds_up():
    calls = []
    find("gradient", progress=calls.append)
    assert calls == [4, 2]


def test_no_images_are_no_error():
    none = find("gradient", slice(0, 0))
    assert none.maps.shape == (0, 32, 32)


def test_rendered_flowers_are_known_by_their_part():
    classes = flower_classes("demo")
    config = FlowerConfig(size=112)
    flowers = [render_flower(flower_class, 900 + number, config) for number, flower_class in enumerate(classes)]
    images = np.stack([flower.image for flower in flowers])
    truth = [flower.discriminative for flower in flowers]
    chance = np.mean([part.mean() for part in truth])
    classifier = load_classifier("flowernet")
    guided = load_classifier("flowernet", activation=guided_relu)
    configs = {
        "smoothed_gradient": SmoothedGradientConfig(sigma=4.0),
        "smooth_grad": SmoothGradConfig(samples=4),
        "rise": RiseConfig(masks=150),
    }
    for method in ("gradient", "grad_cam", "grad_cam_pp", "guided_backprop", *configs):
        maps = importance(
            classifier,
            images,
            np.arange(6),
            method=method,
            batch_size=6,
            guided=guided,
            config=configs.get(method),
        ).maps
        share = np.mean([share_inside(one, part, 0.1) for one, part in zip(maps, truth, strict=True)])
        assert share > 2 * chance, (method, share, chance)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "gradcam"}, "unknown method 'gradcam': did you mean 'grad_cam'? known methods are compact, "),
        ({"method": "guided_backprop", "guided": None}, "method 'guided_backprop' needs `guided`, the network built"),
        ({"method": "rise", "config": RandomConfig()}, "`config` of method 'rise' must be a RiseConfig, got Random"),
        (
            {"method": "gradient", "config": RandomConfig()},
            "method 'gradient' has no configuration, got a RandomConfig.",
        ),
        ({"method": "gradient", "batch_size": 0}, "`batch_size` must be at least 1, got 0."),
        ({"method": "extremal", "area": 0.0}, "`area` must be in (0, 1), got 0.0..0.0."),
    ],
)
def test_wrong_use_is_told(options, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the whole message is compared
        find(options.pop("method"), **options)
    assert str(error.value).startswith(message)


def test_labels_and_pictures_must_fit():
    with pytest.raises(ValueError, match=r"^`class_index` must be one for each of the 6 images, got \(2,\)\.$"):
        importance(colour_net(), IMAGES, CLASSES[:2], method="gradient", batch_size=2)
    with pytest.raises(ValueError, match=r"^`images` must be uint8 \(n, 64, 64, 3\) for 'toy'"):
        importance(toys.make_classifier(), IMAGES, CLASSES, method="gradient", batch_size=2)
