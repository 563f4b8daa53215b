"""From a similarity matrix to visual summaries."""

from vissum_jax.summaries.cluster_stability import cluster_stability
from vissum_jax.summaries.clustering import Clustering, cluster
from vissum_jax.summaries.config import SummaryConfig
from vissum_jax.summaries.consistency import member_similarities
from vissum_jax.summaries.flow import paint_flow, smooth_flow, warp
from vissum_jax.summaries.overlays import flow_overlays, resized_overlays
from vissum_jax.summaries.summarize import kept_members, near_exemplar, numbered, one_box_per_image, summarize_class

__all__ = [
    "Clustering",
    "SummaryConfig",
    "cluster",
    "cluster_stability",
    "flow_overlays",
    "kept_members",
    "member_similarities",
    "near_exemplar",
    "numbered",
    "one_box_per_image",
    "paint_flow",
    "resized_overlays",
    "smooth_flow",
    "summarize_class",
    "warp",
]
