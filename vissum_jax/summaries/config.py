"""Constants of clustering and of the consistency rules."""

from __future__ import annotations

from dataclasses import dataclass

WARPS = ("simple",)


@dataclass(frozen=True, kw_only=True)
class SummaryConfig:
    """How boxes become summaries (VS 3.2).

    Attributes:
        preference_factor: Affinity propagation's preference is this times the median similarity (which is
            negative, so that more makes fewer clusters).
        damping: Of affinity propagation's messages.
        max_iterations: Its iterations at most.
        convergence_iterations: It has converged when its exemplars stay for so many iterations.
        retries: When it does not converge, it is run again so many times, its damping each time half as far
            from one.
        seed: Of the noise by which it breaks ties.
        top_members: Members, the exemplar first, that every member of a cluster is compared with.
        warp: How a member is laid over the exemplar before they are compared: ``simple`` resizes its box.
        consistency: A cluster is kept when its median structural similarity is at least this share of G, the
            median over the class's clusters,
        min_members: and when at least so many of its members, each in an image of its own, are kept.
        member_consistency: A structural similarity counts against a member when it is below this share of G.
            VS has 1, which asks more of members than of clusters: where all clusters look much alike, those
            just below G lose all their members.
        member_share: A member is kept when less than this share of its structural similarities do.
    """

    preference_factor: float = 1.3
    damping: float = 0.9
    max_iterations: int = 1000
    convergence_iterations: int = 100
    retries: int = 3
    seed: int = 0
    top_members: int = 10
    warp: str = "simple"
    consistency: float = 0.9
    min_members: int = 3
    member_consistency: float = 1.0
    member_share: float = 0.6

    def __post_init__(self) -> None:
        """Check ranges."""
        if not 0.5 <= self.damping < 1:
            raise ValueError(f"`damping` must be in [0.5, 1), got {self.damping}.")
        for name in ("max_iterations", "convergence_iterations", "min_members"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be positive, got {getattr(self, name)}.")
        for name in ("retries", "seed", "preference_factor", "consistency", "member_consistency"):
            if getattr(self, name) < 0:
                raise ValueError(f"`{name}` must not be negative, got {getattr(self, name)}.")
        if self.top_members < 2:
            raise ValueError(f"`top_members` must be at least 2, got {self.top_members}.")
        if not 0 < self.member_share <= 1:
            raise ValueError(f"`member_share` must be in (0, 1], got {self.member_share}.")
        if self.warp not in WARPS:
            raise ValueError(f"`warp` must be one of {', '.join(WARPS)}, got {self.warp!r}.")
