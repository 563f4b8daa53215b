"""Cluster-wise stability with Python's sets."""


def best_overlap(cluster, drawn, again):
    """Largest Jaccard overlap of what was drawn of a cluster with a cluster of the drawn; None if nothing was."""
    left = set(cluster) & set(drawn)
    if not left:
        return None
    return max((len(left & set(other)) / len(left | set(other)) for other in again), default=0.0)
