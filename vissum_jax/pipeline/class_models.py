"""``vissum class-model``: pictures of what a network takes for typical of its classes (DI section 2)."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, UInt8

from vissum_jax._version import __version__
from vissum_jax.data.labels import LabelIndex, normalise
from vissum_jax.deep_inside.class_model import ClassModelConfig, class_models
from vissum_jax.models.catalogue import ARCHITECTURES
from vissum_jax.pipeline.memory import default_batch_size, device_name
from vissum_jax.pipeline.progress import Progress
from vissum_jax.report.gallery import Figure, Gallery, Item, Picture, write_gallery
from vissum_jax.report.overlays import contact_sheet, png
from vissum_jax.runs.store import write_atomically
from vissum_jax.types import Classifier

FILE, SHEET = "class_models.json", "contact_sheet.png"

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""Mean colour of ImageNet's photographs: taken for networks whose own mean is not known."""

SURE = 0.99
"""Probability from which a class counts as reached."""


@dataclass(frozen=True, kw_only=True)
class ClassModel:
    """One class's picture.

    Attributes:
        class_index: The class.
        class_name: Its name.
        picture: What was found, as it is saved.
        score: S_c of the unbounded image.
        probability: Its softmax.
        picture_score: S_c of the picture.
        picture_probability: Its softmax.
        finite: Whether the network gave numbers all the way.
    """

    class_index: int
    class_name: str
    picture: UInt8[np.ndarray, "h w 3"]
    score: float
    probability: float
    picture_score: float
    picture_probability: float
    finite: bool

    @property
    def file(self) -> str:
        """Name of the picture's file; names of classes may hold anything."""
        name = "".join(
            letter if letter.isascii() and letter.isalnum() else "_" for letter in normalise(self.class_name)
        )
        return f"{self.class_index:04d}_{name[:60]}.png"


def mean_colour(model: str) -> Float[np.ndarray, " 3"]:
    """The colour, RGB in [0, 1], that a network subtracts from its input; ImageNet's where that is not known."""
    if model not in ARCHITECTURES:
        return np.array(IMAGENET_MEAN, np.float32)
    normalization = ARCHITECTURES[model].normalization
    mean = np.array(normalization.mean, np.float32) / 255.0
    return mean[::-1].copy() if normalization.bgr else mean


def find_class_models(
    classifier: Classifier,
    classes: Sequence[int],
    config: ClassModelConfig,
    progress: Progress,
    *,
    mean: Float[np.ndarray, " 3"],
    batch_size: int | None = None,
) -> list[ClassModel]:
    """Find the pictures of some classes, many at once.

    Args:
        classifier: The network.
        classes: Their indices.
        config: Objective and optimiser.
        progress: Told of every class.
        mean: The mean image's colour.
        batch_size: Classes at once; None for what suits the device, at most as many as there are.
    """
    size = min(batch_size or default_batch_size(), len(classes))
    found: list[ClassModel] = []
    progress.start("class models", len(classes))
    for start in range(0, len(classes), size):
        real = np.array(classes[start : start + size], np.int32)
        batch = np.pad(real, (0, size - len(real)), mode="edge")
        result = jax.device_get(class_models(classifier, batch, mean, config))
        for row, index in enumerate(real.tolist()):
            scores = [float(values[row]) for values in result[2:]]
            found.append(
                ClassModel(
                    class_index=index,
                    class_name=classifier.spec.class_names[index],
                    picture=result.picture[row],
                    **dict(zip(result._fields[2:], scores, strict=True)),
                    finite=bool(np.isfinite(scores).all() and np.isfinite(result.offset[row]).all()),
                )
            )
        progress.advance(len(real))
    progress.finish()
    return found


def select_classes(classifier: Classifier, names: Sequence[str]) -> tuple[int, ...]:
    """Indices of classes that are named by name, WordNet id or index, each once, in their order.

    Raises:
        ValueError: If a name names no class (the nearest is named), or there is none.
    """
    labels = LabelIndex(classifier.spec)
    found = tuple(dict.fromkeys(labels.resolve(name) for name in names if name))
    if not found:
        raise ValueError("`classes` names no class.")
    return found


def check_out(out: Path) -> None:
    """Check that pictures can be put into a folder.

    Raises:
        ValueError: If it is not empty and holds something else than class models.
    """
    if out.exists() and not (out.is_dir() and ((out / FILE).is_file() or not any(out.iterdir()))):
        raise ValueError(f"{str(out)!r} holds something else than class models; name another folder with --out.")


def write_class_models(
    found: Sequence[ClassModel], classifier: Classifier, config: ClassModelConfig, out: Path
) -> dict[str, Any]:
    """Write pictures, contact sheet, figures and a page.

    Returns:
        The figures, as ``class_models.json`` holds them.
    """
    spec = classifier.spec
    sure = [model.picture_probability >= SURE for model in found]
    values = {
        "model": spec.name,
        "weights_sha256": spec.weights_sha256,
        "configuration": dataclasses.asdict(config),
        "versions": {"vissum-jax": __version__, "jax": jax.__version__},
        "device": device_name(),
        "reached": {"probability": SURE, "classes": sum(sure), "of": len(found)},
        "classes": [
            {"file": model.file, **{key: value for key, value in vars(model).items() if key != "picture"}}
            for model in found
        ],
    }
    for model in found:
        write_atomically(out / model.file, png(model.picture))
    write_atomically(out / SHEET, png(contact_sheet([model.picture for model in found])))
    _write_page(found, values, out / "report")
    # JSON knows no NaN: a class that is not finite has null.
    plain = json.loads(json.dumps(values), parse_constant=lambda _: None)
    write_atomically(out / FILE, json.dumps(plain, indent=1, ensure_ascii=False).encode())
    return plain


def _write_page(found: Sequence[ClassModel], values: dict[str, Any], folder: Path) -> Path:
    reached = values["reached"]
    gallery = Gallery(
        model=values["model"],
        kind="Class models",
        title=f"What {values['model']} takes for typical",
        lede=(
            "Each picture maximises the score of one class, starting from nothing: it shows what the network would "
            "like to see, not what the class looks like."
        ),
        figures=(
            Figure("Classes", str(reached["of"])),
            Figure(f"Probability {reached['probability']:.0%} or more", f"{reached['classes']} of {reached['of']}"),
            Figure("Steps", str(values["configuration"]["steps"])),
        ),
        notes=(
            "Scores and probabilities are those of the picture shown, clipped to the range of colours and rounded to "
            "8 bits.",
        ),
        configuration=values["configuration"],
    )
    items = [
        Item(
            title=model.class_name.replace("_", " "),
            pictures=(Picture(f"class {model.class_index}", f"Class model of {model.class_name}", model.picture),),
            facts=(("probability", f"{model.picture_probability:.3f}"), ("score", f"{model.picture_score:.1f}")),
            warning="" if model.finite else "the network answers NaN or infinity",
        )
        for model in found
    ]
    return write_gallery(folder, gallery, {"": items})
