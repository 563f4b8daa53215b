"""Which visual parts does an image classifier rely on, for a whole class, and how do we know?"""

from typing import TYPE_CHECKING

import lazy_loader

from vissum_jax._version import __version__

if TYPE_CHECKING:
    from vissum_jax.models import load_classifier
    from vissum_jax.pipeline import extract_masks, summarize
    from vissum_jax.types import Classifier, ClassifierSpec, MaskBatch, Outputs, Summary

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "models": ["load_classifier"],
        "pipeline": ["extract_masks", "summarize"],
        "types": ["Classifier", "ClassifierSpec", "MaskBatch", "Outputs", "Summary"],
    },
)

__all__ = [
    "Classifier",
    "ClassifierSpec",
    "MaskBatch",
    "Outputs",
    "Summary",
    "__version__",
    "extract_masks",
    "load_classifier",
    "summarize",
]
