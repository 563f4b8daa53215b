"""The PyTorch side of the suite: the strong version as PyTorch does it best here, and the published loop.

On a GPU the strong version's network is compiled, forwards and backwards, and runs in bfloat16 by autocast where ours
does; its blend, penalties and Adam, some percent of a step, are eager. On processors it is eager: there compiling gains
nothing that channels-last has not gained already.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from benchmarks.peers import torch_masks
from benchmarks.peers.torch_ports import peer_of
from vissum_jax.masks.config import PhasedConfig
from vissum_jax.types import Classifier

TOLERANCE = {False: 1e-3, True: 1e-1}
"""Largest relative difference of logits from ours, in float32 and in bfloat16: the peers are the same network."""


class TorchSteps(NamedTuple):
    """The peers of a measurement.

    Attributes:
        strong: Finds the masks of the batch.
        published: Finds the mask of its first image.
        strong_name: What the results call the former.
    """

    strong: Callable[[], np.ndarray]
    published: Callable[[], np.ndarray]
    strong_name: str


def steps(
    classifier: Classifier, images: np.ndarray, class_index: np.ndarray, config: PhasedConfig, *, bfloat16: bool
) -> TorchSteps:
    """Both peers, on the GPU where PyTorch has one.

    Args:
        classifier: The network, in float32.
        images: (b, h, w, 3) in [0, 1].
        class_index: Class explained of each image.
        config: What is minimised.
        bfloat16: Whether the strong version computes the network in bfloat16.

    Raises:
        ValueError: If the network is not the same.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = peer_of(classifier).to(device)
    if device == "cuda":  # as XLA does
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True

    def autocast(logits_of: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
        def logits(x: torch.Tensor) -> torch.Tensor:
            with torch.autocast(device, torch.bfloat16, enabled=bfloat16):
                return logits_of(x).float()

        return logits

    whole = torch_masks.photographs(images, config)
    whole = torch_masks.Photograph(*(tensor.to(device) for tensor in whole))
    one = torch_masks.Photograph(*(tensor[:1] for tensor in whole))
    # Not by the compiled one, which would be made for one image, and for any number at the sight of more.
    _require_same(classifier, images[:1], autocast(network)(one.images), bfloat16=bfloat16)
    strong_logits = autocast(torch.compile(network, dynamic=False) if device == "cuda" else network)
    labels = np.asarray(class_index, np.int64)
    name = "PyTorch"
    return TorchSteps(
        strong=lambda: torch_masks.strong(strong_logits, whole, labels, config, device),
        published=lambda: torch_masks.published(network, one, int(labels[0]), config, device),
        strong_name=f"compiled {name}" if device == "cuda" else f"batched {name}",
    )


def _require_same(classifier: Classifier, images: np.ndarray, theirs: torch.Tensor, *, bfloat16: bool) -> None:
    ours = np.asarray(classifier(images).logits)
    error = np.linalg.norm(theirs.numpy(force=True) - ours) / np.linalg.norm(ours)
    if not error < TOLERANCE[bfloat16]:
        raise ValueError(f"PyTorch's {classifier.spec.name} answers something else: {error:.1e} from ours.")
