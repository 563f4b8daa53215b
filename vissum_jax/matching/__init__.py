"""Proposal Flow in JAX: features, match scores, the similarity matrix of a class."""

from vissum_jax.matching.classwise import Matches, match_class, score
from vissum_jax.matching.config import MatchingConfig
from vissum_jax.matching.features import box_descriptor, box_descriptors, whitened_descriptors
from vissum_jax.matching.lom import lom
from vissum_jax.matching.nam import Described, nam
from vissum_jax.matching.phm import phm
from vissum_jax.matching.whitening import load_whitening

__all__ = [
    "Described",
    "Matches",
    "MatchingConfig",
    "box_descriptor",
    "box_descriptors",
    "load_whitening",
    "lom",
    "match_class",
    "nam",
    "phm",
    "score",
    "whitened_descriptors",
]
