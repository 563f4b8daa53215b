"""Constants of clustering and of the consistency rules."""

from __future__ import annotations

from dataclasses import dataclass, field

from vissum_jax.ops.ssim import SsimConfig

WARPS = ("simple", "flow")


@dataclass(frozen=True, kw_only=True)
class SummaryConfig:
    """How boxes become summaries (VS 3.2).

    Attributes:
        preference_factor: Affinity propagation's preference is this,
        preference_per_image: and this for every image, times the median similarity (which is negative, so that
            more makes fewer clusters). VS has 1.3 and 0, for a hundred images a class. What an exemplar earns grows
            with the images that show its part; at a fixed price a part falls into ever more summaries as images are
            added. The two are equal for 15 images.
        self_matches: Whether the largest similarity, from which all others are counted, may be a box's match
            with itself, as VS's S = C - max(C) reads. Self-matches are the squared lengths of descriptors, five
            to fifty times the best match of two boxes, so that beside them all boxes seem equally unlike and
            a class of twenty photographs falls into a single cluster.
        damping: Of affinity propagation's messages.
        max_iterations: Its iterations at most.
        convergence_iterations: It has converged when its exemplars stay for so many iterations.
        retries: When it does not converge, it is run again so many times,
        retry_factor: its damping each time nearer to one, at this share of the distance.
        seed: Of the noise by which it breaks ties, and of the images drawn to measure stability.
        stability_repeats: Clusterings of some of the images, by which every cluster's stability is measured;
            0 for none. Similarities are not computed again.
        stability_share: Share of the images in each of them.
        top_members: Members, the exemplar first, that every member of a cluster is compared with.
        ssim: Constants of the structural similarity by which they are.
        warp: How a member is laid over the exemplar before they are compared: ``simple`` resizes its box,
            ``flow`` warps its image by the dense flow between the matches of the two images.
        flow_smoothness: Weight of the flow's smoothness against what the matches say (lambda).
        flow_colour_decay: How fast smoothness falls with the distance of two neighbours' Lab colours, in
            units of the lightness range.
        flow_offset_decay: How fast it falls with the jump of the flow between them, per pixel.
        flow_weight_floor: What remains of either.
        flow_rounds: Rounds of smoothing; each takes its jumps from the last.
        consistency: A cluster is kept when its median structural similarity is at least this share of G, the
            median over the class's clusters,
        min_members: and when at least so many of its members, each in an image of its own, are kept.
        member_consistency: A structural similarity counts against a member when it is below this share of G.
            VS has 1, which asks more of members than of clusters: where all clusters look much alike, those
            just below G lose all their members.
        member_share: A member is kept when less than this share of its structural similarities do,
        member_similarity: and when its match score with the exemplar is at least this share of the best
            member's; 0 for VS's rule to the letter. Affinity propagation leaves no box out, and the tails of its
            clusters show anything: on 58 photographs of three birds the floor halves the members (191 to 100),
            and with them go those that show no part at all (23 % to 13 %); purity rises from 1.34 to 1.50 times
            that of shuffled members.
    """

    preference_factor: float = 1.0
    preference_per_image: float = 0.02
    self_matches: bool = False
    damping: float = 0.9
    max_iterations: int = 1000
    convergence_iterations: int = 100
    retries: int = 3
    retry_factor: float = 0.5
    seed: int = 0
    stability_repeats: int = 0
    stability_share: float = 0.5
    top_members: int = 10
    ssim: SsimConfig = field(default_factory=SsimConfig)
    warp: str = "simple"
    flow_smoothness: float = 20.0
    flow_colour_decay: float = 30.0
    flow_offset_decay: float = 15.0
    flow_weight_floor: float = 1e-5
    flow_rounds: int = 2
    consistency: float = 0.9
    min_members: int = 3
    member_consistency: float = 1.0
    member_share: float = 0.6
    member_similarity: float = 0.3

    def __post_init__(self) -> None:
        """Check ranges."""
        if not 0.5 <= self.damping < 1:
            raise ValueError(f"`damping` must be in [0.5, 1), got {self.damping}.")
        for name in ("max_iterations", "convergence_iterations", "min_members", "flow_rounds"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be positive, got {getattr(self, name)}.")
        for name in ("flow_smoothness", "flow_weight_floor"):
            if getattr(self, name) <= 0:
                raise ValueError(f"`{name}` must be positive, got {getattr(self, name)}.")
        for name in (
            "retries",
            "seed",
            "stability_repeats",
            "preference_factor",
            "preference_per_image",
            "consistency",
            "member_consistency",
            "flow_colour_decay",
            "flow_offset_decay",
        ):
            if getattr(self, name) < 0:
                raise ValueError(f"`{name}` must not be negative, got {getattr(self, name)}.")
        if self.top_members < 2:
            raise ValueError(f"`top_members` must be at least 2, got {self.top_members}.")
        if not 0 < self.member_share <= 1:
            raise ValueError(f"`member_share` must be in (0, 1], got {self.member_share}.")
        for name in ("retry_factor", "stability_share"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be in (0, 1), got {getattr(self, name)}.")
        if not 0 <= self.member_similarity <= 1:
            raise ValueError(f"`member_similarity` must be in [0, 1], got {self.member_similarity}.")
        if self.warp not in WARPS:
            raise ValueError(f"`warp` must be one of {', '.join(WARPS)}, got {self.warp!r}.")
