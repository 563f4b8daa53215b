import dataclasses
from pathlib import Path

import pytest

from vissum_jax.masks.config import CompactConfig, PhasedConfig
from vissum_jax.matching.config import MatchingConfig
from vissum_jax.pipeline.settings import RunConfig, StageConfigs, fingerprint, override, read_settings
from vissum_jax.proposals.config import ProposalConfig

CONFIGS = Path(__file__).parents[2] / "configs"


def config(**values) -> RunConfig:
    return RunConfig(**{"images": "photos", "model": "tiny", **values})


# Overrides.


def test_without_overrides_the_stages_have_their_defaults():
    assert config().masks == CompactConfig()
    assert config().stages == StageConfigs()


@pytest.mark.parametrize("name", ["paper", "authors", "iebb"])
def test_a_preset_is_what_it_says(name):
    masks = config(preset=name).masks
    assert isinstance(masks, PhasedConfig)
    assert masks.name == name


def test_overrides_change_what_they_name_and_nothing_else():
    changed = config(
        overrides={
            "masks": {"steps": 7, "perturbation": {"sigma": 5.0}},
            "proposals": {"mode": "fast"},
            "matching": {"flip": True},
        }
    )
    default = CompactConfig()
    assert changed.masks == dataclasses.replace(
        default, steps=7, perturbation=dataclasses.replace(default.perturbation, sigma=5.0)
    )
    assert changed.stages == StageConfigs(proposals=ProposalConfig(mode="fast"), matching=MatchingConfig(flip=True))


def test_a_whole_number_may_stand_for_a_real_one():
    assert override(CompactConfig(), {"softness": 2}, "masks").softness == 2.0
    assert isinstance(override(CompactConfig(), {"softness": 2}, "masks").softness, float)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            {"masks": {"stesp": 7}},
            r"unknown setting `masks\.stesp`: did you mean 'steps'\? known are name, target_drop",
        ),
        ({"masks": {"zzz": 7}}, r"unknown setting `masks\.zzz`: known are "),
        (
            {"masks": {"perturbation": {"sigm": 1.0}}},
            r"unknown setting `masks\.perturbation\.sigm`: did you mean 'sigma'",
        ),
        ({"proposals": {"mod": "fast"}}, r"unknown setting `proposals\.mod`: did you mean 'mode'\?"),
        ({"masks": {"steps": "many"}}, r"`masks\.steps` must be of type int, got 'many'\."),
        ({"masks": {"steps": 7.5}}, r"`masks\.steps` must be of type int, got 7\.5\."),
        ({"masks": {"steps": True}}, r"`masks\.steps` must be of type int, got True\."),
        ({"masks": {"softness": True}}, r"`masks\.softness` must be of type float, got True\."),
        ({"masks": {"perturbation": 5.0}}, r"`masks\.perturbation` must be a table, got 5\.0\."),
        ({"masks": {"steps": {"a": 1}}}, r"`masks\.steps` must be of type int, got \{'a': 1\}\."),
        ({"masks": {"target_drop": 1.5}}, r"`target_drop` must be in \(0, 1\), got 1\.5\."),
        ({"masks": {"target_drop": float("nan")}}, r"`target_drop` must be in \(0, 1\), got nan\."),
        ({"proposals": {"mode": "slow"}}, r"`mode` must be 'fast' or 'quality', got 'slow'\."),
        ({"proposals": 5}, r"`proposals` must be a table, got 5\."),
        ({"matching": {"descriptor": "sift"}}, r"`descriptor` must be one of auto, hog, network, both, got 'sift'\."),
        ({"summaries": {"ssim": {"sigma": 0.0}}}, r"`sigma` must be positive, got 0\.0\."),
        ({"masks": 5}, r"`masks` must be a table, got 5\."),
        ({"mask": {}}, r"unknown table \[mask\]; known are masks, proposals, matching, summaries\."),
    ],
)
def test_a_wrong_override_is_named(overrides, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        config(overrides=overrides)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"limit": 0}, r"`limit` must be at least 1, got 0\."),
        ({"limit": "8"}, r"`limit` must be a whole number, got '8'\."),
        ({"limit": True}, r"`limit` must be a whole number, got True\."),
        ({"preset": "compct"}, r"unknown preset 'compct': did you mean 'compact'\?"),
        ({"preset": 3}, r"`preset` must be text, got 3\."),
        ({"images": 3}, r"`images` must be a path, got 3\."),
        ({"model": ["a"]}, r"`model` must be text, got \['a'\]\."),
        ({"weights": 3}, r"`weights` must be a path, got 3\."),
        ({"classes": "robin"}, r"`classes` must be a list of texts, got 'robin'\."),
        ({"classes": (15, 683)}, r"`classes` must be a list of texts, got \(15, 683\)\."),
        ({"keep_mispredicted": "yes"}, r"`keep_mispredicted` must be true or false, got 'yes'\."),
    ],
)
def test_a_wrong_setting_is_named(values, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        config(**values)


def test_paths_are_absolute_so_that_a_run_goes_on_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = config(images="photos/../photos", weights="w.npz")
    assert asked.images == str(tmp_path / "photos")
    assert asked.weights == str(tmp_path / "w.npz")
    assert config(images="~/photos").images == str(Path.home() / "photos")
    assert config(images=tmp_path / "photos").images == str(tmp_path / "photos")


# Resolved values and their fingerprint.


def test_a_resolved_configuration_names_every_value_that_decides_the_result():
    resolved = config(limit=3, classes=("a", "b"), overrides={"masks": {"steps": 7}}).resolved()
    assert resolved["run"]["limit"] == 3
    assert resolved["run"]["classes"] == ["a", "b"]
    assert resolved["masks"]["steps"] == 7
    assert resolved["masks"]["perturbation"]["sigma"] == CompactConfig().perturbation.sigma
    assert {"proposals", "matching", "summaries"} < set(resolved)


def test_the_fingerprint_does_not_depend_on_the_order_of_names():
    one = config(overrides={"masks": {"steps": 7, "grid": 14}, "proposals": {"seed": 1}})
    other = config(overrides={"proposals": {"seed": 1}, "masks": {"grid": 14, "steps": 7}})
    assert fingerprint(one.resolved()) == fingerprint(other.resolved())
    assert fingerprint({"a": 1, "b": {"c": 2, "d": 3}}) == fingerprint({"b": {"d": 3, "c": 2}, "a": 1})


def test_saying_a_default_changes_nothing():
    said = config(preset="compact", overrides={"masks": {"steps": CompactConfig().steps}, "matching": {}})
    assert fingerprint(said.resolved()) == fingerprint(config().resolved())


@pytest.mark.parametrize(
    "values",
    [
        {"images": "others"},
        {"model": "other"},
        {"weights": "w.npz"},
        {"preset": "iebb"},
        {"classes": ("a",)},
        {"limit": 2},
        {"keep_mispredicted": True},
        {"overrides": {"masks": {"steps": 7}}},
        {"overrides": {"masks": {"perturbation": {"sigma": 5.0}}}},
        {"overrides": {"proposals": {"seed": 7}}},
        {"overrides": {"matching": {"score": "nam"}}},
        {"overrides": {"summaries": {"min_members": 2}}},
    ],
)
def test_every_kind_of_change_changes_the_fingerprint(values):
    assert fingerprint(config(**values).resolved()) != fingerprint(config().resolved())


# Files.


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_shipped_configuration_resolves(path):
    values = read_settings(path)
    tables = {name: values.pop(name) for name in list(values) if isinstance(values[name], dict)}
    resolved = config(**values, overrides=tables).resolved()
    expected = path.stem if path.stem in ("paper", "authors", "compact") else "compact"
    assert resolved["masks"]["name"] == expected


@pytest.mark.parametrize("name", ["paper", "authors"])
def test_the_papers_rules_are_a_configuration(name):
    settings = read_settings(CONFIGS / f"{name}.toml")
    tables = {table: values for table, values in settings.items() if isinstance(values, dict)}
    stages = config(preset=settings["preset"], overrides=tables).stages
    assert stages.matching.descriptor == "hog"
    assert stages.matching.score == "lom"
    assert stages.summaries.self_matches
    assert (stages.summaries.preference_factor, stages.summaries.preference_per_image) == (1.3, 0.0)
    assert (stages.summaries.member_similarity, stages.summaries.stability_repeats) == (0.0, 0)
    assert stages.proposals.mask_growth == 0


def test_there_are_shipped_configurations():
    assert {path.stem for path in CONFIGS.glob("*.toml")} >= {"smoke", "paper", "authors", "compact", "imagenet"}


def test_the_compact_configuration_states_the_defaults():
    values = read_settings(CONFIGS / "compact.toml")
    assert config(preset=values["preset"], overrides={"masks": values["masks"]}).masks == CompactConfig()


def test_a_file_gives_its_settings_and_tables(tmp_path):
    path = tmp_path / "my.toml"
    path.write_text('preset = "paper"\nclasses = ["größe"]\n[proposals]\nmode = "fast"\n', encoding="utf-8")
    assert read_settings(path) == {"preset": "paper", "classes": ["größe"], "proposals": {"mode": "fast"}}


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"^No configuration file '.*none\.toml'\.$"):
        read_settings(tmp_path / "none.toml")


@pytest.mark.parametrize("data", [b"preset = ", b"[masks\n", b"\xff\xfe", b"a = 1\na = 2\n"])
def test_what_is_not_toml_is_said_to_be_none(tmp_path, data):
    (tmp_path / "my.toml").write_bytes(data)
    with pytest.raises(ValueError, match=r"my\.toml' is not TOML: "):
        read_settings(tmp_path / "my.toml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("presett = 'paper'", r"unknown setting `presett`: did you mean 'preset'\? known are images, model"),
        ("[mask]\nsteps = 3", r"unknown setting `mask`: did you mean 'masks'\?"),
        ("steps = 3", r"unknown setting `steps`: "),
        ("masks = 3", r"`masks` must be a table, got 3\."),
        ("[limit]\na = 3", r"`limit` must not be a table\."),
        ("overrides = {}", r"unknown setting `overrides`: "),
    ],
)
def test_a_wrong_name_in_a_file_is_named(tmp_path, text, message):
    (tmp_path / "my.toml").write_text(text)
    with pytest.raises(ValueError, match=rf"my\.toml': {message}"):
        read_settings(tmp_path / "my.toml")
