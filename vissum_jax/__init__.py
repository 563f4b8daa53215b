"""Which visual parts does an image classifier rely on, for a whole class, and how do we know?"""

import lazy_loader

from vissum_jax._version import __version__

__getattr__, __dir__, _names = lazy_loader.attach(
    __name__,
    submod_attrs={
        "models": ["load_classifier"],
        "pipeline": ["extract_masks", "summarize"],
        "types": ["Classifier", "ClassifierSpec", "MaskBatch", "Outputs", "Summary"],
    },
)
__all__ = [*_names, "__version__"]
