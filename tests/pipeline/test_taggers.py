import dataclasses
import sys
import types

import numpy as np
import pytest
import toys

from vissum_jax.pipeline.open_clip_tagger import OpenClipTagger, default_vocabulary
from vissum_jax.pipeline.taggers import LabelTagger, Tagger, load_tagger

RED, GREEN = toys.photograph(0, 0), toys.photograph(1, 0)


class UserTagger:
    name = "mine"

    def tag(self, images):
        return [("thing",) for _ in images]


def make_nothing():
    return 3


def make_failure():
    raise RuntimeError("no camera\nat all")


def test_the_most_probable_labels_come_first():
    tagger = LabelTagger(toys.make_classifier(), labels=2)
    assert isinstance(tagger, Tagger)
    assert [nouns[0] for nouns in tagger.tag([RED, GREEN])] == ["red disc", "green square"]
    assert all(len(nouns) == 2 for nouns in tagger.tag([RED, GREEN]))
    assert tagger.tag([]) == []


def test_photographs_may_have_any_size():
    """The short side is resized and the centre cropped, as the network is used to it."""
    wide = np.concatenate([np.zeros_like(RED), RED, np.zeros_like(RED)], axis=1)
    small = RED[::2, ::2]
    assert [nouns[0] for nouns in LabelTagger(toys.make_classifier()).tag([wide, small])] == ["red disc"] * 2


def test_labels_of_imagenet_become_nouns_once_each():
    classifier = toys.make_classifier()
    spec = dataclasses.replace(
        classifier.spec,
        class_names=("golden_retriever", "Labrador_retriever", "pug", "running_shoe"),
        wordnet_ids=("n02099601", "n02099712", "n02110958", "n04120489"),
    )
    (nouns,) = LabelTagger(dataclasses.replace(classifier, spec=spec), labels=4).tag([RED])
    assert nouns[0] == "retriever"
    assert sorted(nouns) == ["pug", "retriever", "shoe"]


def test_a_function_of_the_user_s_may_make_a_tagger_or_a_network():
    assert load_tagger(f"{__name__}:UserTagger").tag([RED]) == [("thing",)]
    assert load_tagger("toys:make_classifier").name == "toy"


@pytest.mark.parametrize(
    ("name", "options", "complaint"),
    [
        (f"{__name__}:make_nothing", {}, r"must return a Tagger \(`name`, `tag\(images\)`\) or .*, got int\."),
        (f"{__name__}:make_failure", {}, r"raises RuntimeError: no camera\.$"),
        ("no_such_module:f", {}, r"raises ModuleNotFoundError: No module named 'no_such_module'\.$"),
        ("toys:make_classifier", {"weights": "x.npz"}, r"`weights` are up to the function"),
        ("flowernet", {"vocabulary": ["a"]}, r"`vocabulary` is for open-vocabulary taggers; 'flowernet' has labels"),
        ("efficientnet-lite9", {}, r"did you mean 'efficientnet-lite\d'"),
        ("open-clip:ViT-B-32", {}, r"must be open-clip:MODEL/PRETRAINED"),
        ("open-clip:A/b", {"vocabulary": ["a"]}, r"`vocabulary` must hold at least 8 nouns, got 1\."),
        ("open-clip:A/b", {"weights": "x.npz"}, r"`weights`: 'open-clip:A/b' names its own"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(name, options, complaint):
    with pytest.raises(ValueError, match=complaint) as error:
        load_tagger(name, **options)
    assert "\n" not in str(error.value)


def test_without_the_extra_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(ValueError, match=r"open_clip\); pip install 'vissum-jax\[open-clip\]'\.$"):
        load_tagger("open-clip:ViT-B-32/openai")


def test_the_vocabulary_holds_things_and_their_parts():
    assert {"retriever", "shoe", "ear", "wheel"} <= set(default_vocabulary())


def stand_in(torch):
    """What OpenCLIP's interface promises: embeddings of texts are colours, those of pictures their mean colour."""
    colours = {"red": (1.0, 0, 0), "green": (0, 1.0, 0), "blue": (0, 0, 1.0)}

    def encode_text(tokens):
        return 3 * torch.tensor(tokens)

    def encode_image(pixels):
        return pixels.mean(dim=(2, 3))

    def tokenizer(texts):
        return [colours[text.removeprefix("a photo of a ").removesuffix(".")] for text in texts]

    def preprocess(picture):
        return torch.from_numpy(np.array(picture, np.float32)).permute(2, 0, 1)

    model = types.SimpleNamespace(encode_text=encode_text, encode_image=encode_image, eval=lambda: None)
    return types.SimpleNamespace(
        create_model_and_transforms=lambda name, pretrained: (model, None, preprocess),
        get_tokenizer=lambda name: tokenizer,
    )


@pytest.mark.parity
def test_open_clip_s_nearest_nouns_come_first(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setitem(sys.modules, "open_clip", stand_in(torch))
    tagger = OpenClipTagger.load("A/b", tags=2, vocabulary=("red", "green", "blue"), batch_size=2)
    pictures = [np.full((4, 5, 3), colour, np.uint8) for colour in ((200, 90, 1), (1, 200, 90), (90, 1, 200))]
    assert tagger.tag(pictures) == [("red", "green"), ("green", "blue"), ("blue", "red")]
    assert tagger.name == "open-clip:A/b"
