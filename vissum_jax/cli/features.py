"""``vissum features``: which filters matter for which class (Visual Explanation by Interpretation)."""

from __future__ import annotations

from vissum_jax.cli.features_average import average
from vissum_jax.cli.features_explain import explain
from vissum_jax.cli.features_select import select
from vissum_jax.cli.groups import group

features = group(
    "Find the filters that matter for each class, show what they respond to, explain answers by them.",
    {"select": select, "average": average, "explain": explain},
)
