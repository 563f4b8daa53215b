"""An open-vocabulary tagger through OpenCLIP: the nouns of a list that fit a picture best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from vissum_jax.analysis.wordnet import label_noun
from vissum_jax.models.imagenet import imagenet_classes
from vissum_jax.study.nouns import SUGGESTIONS

PREFIX = "open-clip:"
PROMPT = "a photo of a {}."


def default_vocabulary() -> tuple[str, ...]:
    """ImageNet's nouns, and parts of animals, vehicles, instruments and clothes."""
    labels = (label_noun(wordnet_id) for wordnet_id in imagenet_classes().wordnet_ids)
    return tuple(sorted({*labels, *SUGGESTIONS}))


@dataclass(frozen=True)
class OpenClipTagger:
    """The nouns whose text embedding is nearest to the picture's (cosine), as the extra ``[open-clip]`` brings them.

    The adapter is tested against a stand-in for OpenCLIP's interface; no published weights have been run through it.

    Attributes:
        name: What tables call it.
        tags: Nouns a picture.
        vocabulary: What it chooses from.
        batch_size: Pictures at once.
        model: OpenCLIP's model.
        preprocess: Its transform from a PIL picture to a tensor.
        words: Text embeddings (vocabulary, dimensions), normalised; a tensor.
    """

    name: str
    tags: int
    vocabulary: tuple[str, ...]
    batch_size: int
    model: Any
    preprocess: Any
    words: Any

    @classmethod
    def load(cls, name: str, *, tags: int, vocabulary: Sequence[str] | None, batch_size: int) -> OpenClipTagger:
        """Load a model.

        Args:
            name: ``MODEL/PRETRAINED``, as OpenCLIP calls them; PRETRAINED may be a file.
            tags: Nouns a picture.
            vocabulary: Nouns; None for `default_vocabulary`.
            batch_size: Pictures at once.

        Raises:
            ValueError: The extra is not installed, the vocabulary is too small, or OpenCLIP cannot load the model.
        """
        model_name, _, pretrained = name.partition("/")
        if not model_name or not pretrained:
            raise ValueError(f"`tagger` {PREFIX + name!r} must be {PREFIX}MODEL/PRETRAINED, e.g. ViT-B-32/openai.")
        nouns = tuple(dict.fromkeys(vocabulary)) if vocabulary is not None else default_vocabulary()
        if len(nouns) < tags:
            raise ValueError(f"`vocabulary` must hold at least {tags} nouns, got {len(nouns)}.")
        try:
            import open_clip  # pyright: ignore[reportMissingImports]
            import torch  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise ValueError(
                f"`tagger` {PREFIX + name!r} needs a package that is not installed ({error.name}); "
                "pip install 'vissum-jax[open-clip]'."
            ) from error
        try:
            model, _, preprocess = open_clip.create_model_and_transforms(model_name, pretrained=pretrained)
        except Exception as error:  # of whatever kind: unknown names, downloads, damaged files
            first = next(iter(str(error).splitlines()), "")
            raise ValueError(f"`tagger` {PREFIX + name!r} cannot be loaded: {first}".rstrip(": .") + ".") from error
        model.eval()
        with torch.no_grad():
            tokens = open_clip.get_tokenizer(model_name)([PROMPT.format(noun) for noun in nouns])
            words = torch.nn.functional.normalize(model.encode_text(tokens), dim=-1)
        return cls(PREFIX + name, tags, nouns, batch_size, model, preprocess, words)

    def tag(self, images: Sequence[UInt8[np.ndarray, "h w 3"]]) -> list[tuple[str, ...]]:
        """The nouns that fit each picture best."""
        import torch  # pyright: ignore[reportMissingImports]

        found: list[tuple[str, ...]] = []
        for start in range(0, len(images), self.batch_size):
            pixels = [self.preprocess(Image.fromarray(image)) for image in images[start : start + self.batch_size]]
            with torch.no_grad():
                seen = torch.nn.functional.normalize(self.model.encode_image(torch.stack(pixels)), dim=-1)
                best = (seen @ self.words.T).topk(self.tags, dim=-1).indices.tolist()
            found += [tuple(self.vocabulary[noun] for noun in row) for row in best]
        return found
