"""Proposal Flow in JAX: features, match scores, the similarity matrix of a class."""
