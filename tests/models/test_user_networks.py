"""Networks of the user's own: three that work, end to end, and what is said of those that do not."""

import dataclasses
import re
import sys
import types
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

import vissum_jax as vs
from vissum_jax.cli.main import main
from vissum_jax.models import load_classifier

EXAMPLES = ("make_plain", "make_linen", "make_nnx")
SPEC = vs.ClassifierSpec(
    name="own",
    input_height=6,
    input_width=8,
    resize_short_side=8,
    class_names=("dark", "bright"),
    feature_endpoint="mean",
)


def apply(params, images):
    mean = images.mean(axis=(1, 2, 3))[:, None]
    return vs.Outputs(params * jnp.concatenate([-mean, mean], axis=1), {"mean": mean})


CLASSIFIER = vs.Classifier(params=jnp.float32(1.0), apply=apply, spec=SPEC)


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], vs.Classifier]:
    """Loads what ``own:make`` is, or returns if it is no function."""

    def load(make: object) -> vs.Classifier:
        module = types.ModuleType("own")
        module.make = make if callable(make) and not isinstance(make, vs.Classifier) else lambda: make
        monkeypatch.setitem(sys.modules, "own", module)
        return load_classifier("own:make")

    return load


@pytest.fixture(autouse=True)
def _examples_are_importable(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


def _complaint(load, make: object) -> str:
    with pytest.raises(ValueError, match=r"^`model` 'own:make'") as caught:
        load(make)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def _changed(apply) -> vs.Classifier:
    return dataclasses.replace(CLASSIFIER, apply=apply)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_classify_and_their_masks_are_found(name: str):
    classifier = load_classifier(f"user_networks:{name}")
    images = np.stack([toys.photograph(class_index, seed) for class_index in (0, 1, 2) for seed in (0, 1)])
    expected = toys.make_classifier()(images.astype(np.float32) / 255).logits
    logits = jax.jit(lambda c, x: c(x).logits)(classifier, images.astype(np.float32) / 255)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)
    assert logits.argmax(axis=1).tolist() == [0, 0, 1, 1, 2, 2]

    masks = vs.extract_masks(classifier, images[:2], config=toys.mask_config())
    assert [str(status) for status in masks.status] == ["ok", "ok"]
    assert (masks.drop_binary >= 0.99).all()
    assert (masks.area < 0.5).all()


def test_an_example_runs_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    photos = toys.write_photographs(tmp_path / "photos", {0: 3})
    (tmp_path / "short.toml").write_text(toys.SETTINGS)
    arguments = ["run", photos, "--model", "user_networks:make_nnx", "--config", tmp_path / "short.toml"]
    monkeypatch.setattr(sys, "argv", ["vissum", *map(str, arguments), "--out", str(tmp_path / "run"), "--json"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0, capsys.readouterr().err
    assert (tmp_path / "run" / "report" / "index.html").is_file()


def test_what_works_is_returned_as_it_is(load):
    assert load(lambda: CLASSIFIER) is CLASSIFIER


@pytest.mark.parametrize("returned", [None, 3, apply, {"params": 1}])
def test_something_else_than_a_classifier(load, returned: object):
    assert _complaint(load, lambda: returned) == (
        f"`model` 'own:make' must return a vissum_jax.Classifier, got {type(returned).__name__}."
    )


def test_a_function_that_raises(load):
    def make():
        raise KeyError("weights\nand more")

    assert _complaint(load, make) == "`model` 'own:make' raises KeyError: 'weights\\nand more'."

    def make():
        raise RuntimeError("no weights at /x\nsecond line")

    assert _complaint(load, make) == "`model` 'own:make' raises RuntimeError: no weights at /x."


def test_a_function_that_needs_arguments(load):
    message = "`model` 'own:make' must take no arguments: TypeError: missing a required argument: 'size'."
    assert _complaint(load, lambda size: CLASSIFIER) == message
    assert load(lambda size=3: CLASSIFIER) is CLASSIFIER


def test_a_network_that_fails_on_its_input(load):
    def fails(params, images):
        return images @ jnp.ones((5, 5))

    complaint = _complaint(load, _changed(fails))
    assert complaint.startswith("`model` 'own:make' fails on images of shape (2, 6, 8, 3): TypeError: ")


def test_a_network_that_needs_more_than_parameters_and_images(load):
    complaint = _complaint(load, _changed(lambda params, images, key: apply(params, images)))
    assert complaint == (f"`model` 'own:make' fails on images of shape (2, 6, 8, 3): TypeError: {_needs_key()}.")


def _needs_key() -> str:
    name = "test_a_network_that_needs_more_than_parameters_and_images.<locals>.<lambda>()"
    return f"{name} missing 1 required positional argument: 'key'"


def test_a_network_that_returns_logits_alone(load):
    assert _complaint(load, _changed(lambda params, images: apply(params, images).logits)) == (
        "`model` 'own:make': `apply` must return vissum_jax.Outputs(logits, endpoints), got ShapeDtypeStruct."
    )


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda logits: logits[:, :1], "(2, 1)"),
        (lambda logits: logits[0], "(2,)"),
        (lambda logits: logits.T[:, :1], "(2, 1)"),
        (lambda logits: jnp.zeros((1, 2)), "(1, 2)"),
        (lambda logits: [logits], "list"),
    ],
)
def test_logits_of_another_shape(load, change, found: str):
    def changed(params, images):
        outputs = apply(params, images)
        return outputs._replace(logits=change(outputs.logits))

    assert _complaint(load, _changed(changed)) == (
        "`model` 'own:make': for images of shape (2, 6, 8, 3) and 2 `class_names` the logits must have shape (2, 2), "
        f"got {found}."
    )


def test_logits_that_are_whole_numbers(load):
    def changed(params, images):
        outputs = apply(params, images)
        return outputs._replace(logits=outputs.logits.astype(jnp.int32))

    complaint = _complaint(load, _changed(changed))
    assert complaint == "`model` 'own:make': the logits must be of floating point, got int32."


@pytest.mark.parametrize(
    ("endpoints", "known"), [({"other": 1.0, "another": 2.0}, "other, another"), ({}, "none"), ([1.0], "list")]
)
def test_a_feature_endpoint_that_is_not_there(load, endpoints: object, known: str):
    def changed(params, images):
        return vs.Outputs(apply(params, images).logits, jax.tree.map(jnp.asarray, endpoints))

    known = ", ".join(sorted(known.split(", ")))
    assert _complaint(load, _changed(changed)) == (
        f"`model` 'own:make': `feature_endpoint` 'mean' must be one of its endpoints, got {known}."
    )


def test_parameters_that_are_no_arrays(load):
    complaint = _complaint(load, dataclasses.replace(CLASSIFIER, params={"name": "text"}))
    assert complaint.startswith("`model` 'own:make' fails on images of shape (2, 6, 8, 3): TypeError: ")


@pytest.mark.parametrize("name", [":make", "own:", ".own:make", ":"])
def test_names_that_name_nothing(name: str):
    with pytest.raises(ValueError, match=f"^{re.escape(f'`model` {name!r} must be package.module:function.')}$"):
        load_classifier(name)


def test_a_module_that_cannot_be_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "broken_network.py").write_text("def make(:\n")
    with pytest.raises(ValueError, match=r"^`model` 'broken_network:make': importing 'broken_network' fails: SyntaxE"):
        load_classifier("broken_network:make")
    (tmp_path / "needy_network.py").write_text("import no_such_package\n")
    with pytest.raises(ValueError, match=r"^`model` 'needy_network:make': no module 'no_such_package' on the Python"):
        load_classifier("needy_network:make")


def test_the_command_line_ends_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "raising_network.py").write_text("def make():\n    raise RuntimeError('out of luck')\n")
    arguments = ["run", str(tmp_path), "--model", "raising_network:make", "--out", str(tmp_path / "run")]
    monkeypatch.setattr(sys, "argv", ["vissum", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    error = "vissum: error: `model` 'raising_network:make' raises RuntimeError: out of luck.\n"
    assert capsys.readouterr().err == error
