"""Proposal Flow in JAX: features, match scores, the similarity matrix of a class."""

from vissum_jax.matching.classwise import Matches, match_class, score
from vissum_jax.matching.config import MatchingConfig
from vissum_jax.matching.description import FeatureMaps, describe_class
from vissum_jax.matching.features import box_descriptor, box_descriptors, whitened_descriptors
from vissum_jax.matching.lom import lom
from vissum_jax.matching.nam import Described, nam
from vissum_jax.matching.network import estimate_whitening, pooled_features
from vissum_jax.matching.phm import phm
from vissum_jax.matching.whitening import load_whitening

__all__ = [
    "Described",
    "FeatureMaps",
    "Matches",
    "MatchingConfig",
    "box_descriptor",
    "box_descriptors",
    "describe_class",
    "estimate_whitening",
    "load_whitening",
    "lom",
    "match_class",
    "nam",
    "phm",
    "pooled_features",
    "score",
    "whitened_descriptors",
]
