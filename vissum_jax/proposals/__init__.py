"""Regions and object proposals on the host."""

from vissum_jax.proposals.config import ProposalConfig
from vissum_jax.proposals.pruning import prune_redundant, redundant_pairs
from vissum_jax.proposals.regions import regions
from vissum_jax.proposals.search import propose, propose_batch, salient_share

__all__ = [
    "ProposalConfig",
    "propose",
    "propose_batch",
    "prune_redundant",
    "redundant_pairs",
    "regions",
    "salient_share",
]
