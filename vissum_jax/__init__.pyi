from vissum_jax.models import load_classifier as load_classifier
from vissum_jax.pipeline import extract_masks as extract_masks
from vissum_jax.pipeline import summarize as summarize
from vissum_jax.types import Classifier as Classifier
from vissum_jax.types import ClassifierSpec as ClassifierSpec
from vissum_jax.types import MaskBatch as MaskBatch
from vissum_jax.types import Outputs as Outputs
from vissum_jax.types import Summary as Summary

__version__: str
