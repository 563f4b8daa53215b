"""Constants of Proposal Flow."""

from __future__ import annotations

from dataclasses import dataclass

SCORES = ("lom", "nam", "phm")
DESCRIPTORS = ("auto", "hog", "network", "both")


@dataclass(frozen=True, kw_only=True)
class MatchingConfig:
    """How two images' proposals are scored against each other (PF, VS 3.2).

    HOG's own constants are not options: the shipped background statistics belong to them.

    Attributes:
        descriptor: What boxes are compared by: ``hog`` (VS), ``network`` (the explained network's own features,
            pooled over the box) or ``both``. On 58 photographs of three birds, members of the summaries of
            GoogLeNet were purer than shuffled ones by a factor of 1.5, 1.6 and 1.8; a network must report a
            feature map for the latter two. ``auto`` is ``both`` where it does and ``hog`` where it does not.
        endpoint: The network's feature map, by its name; empty for the last one that is fine enough.
        endpoint_cells: A feature map is fine enough with so many cells along each side.
        network_weight: Share of the network's similarity in ``both``.
        network_ridge: Added to the diagonal of the features' covariance, as a share of their mean variance. A
            class has too few boxes to whiten hundreds of channels by: on three classes of birds, purity was 1.2,
            1.4 and 1.6 times that of shuffled members with 0.1, 1 and 10.
        score: ``lom`` (local offset matching, what VS uses), ``nam`` (naive appearance matching) or ``phm``
            (probabilistic Hough matching).
        flip: Score each pair of images also with the second one mirrored, and take the larger.
        whitening_ridge: Added to the background covariance's diagonal until it is positive definite.
        max_aspect_ratio: Boxes match only if their aspect ratios differ by less than this factor.
        offset_weight: LOM's penalty per pixel between a match's offset and its neighbourhood's.
        scale_weight: The same for the difference of area ratios.
        median_steps: Reweighting steps of the median offset.
        median_epsilon: Added to the distances in pixels by which these steps divide. The published code adds the
            smallest number there is, with which the steps stand still at whatever box they come near to and
            rounding decides where: single and double precision then differ by several percent of a score. With
            the half pixel that box centres are apart at least, they agree to 1e-6 and end nearer to the median
            (0.7 px from it instead of 1.5 after twenty steps, measured on photographs).
        median_scale_epsilon: The same for the ratio of areas.
        hough_bins: Upper bound of PHM's position bins over twice the second image's sides.
        hough_min_cell: Their least side in pixels.
        hough_scale_bins: PHM's bins of the logarithmic area ratio.
        hough_scale_range: That ratio's largest magnitude, in octaves of area.
        hough_smoothing: Standard deviation of the Gaussian that smooths the votes, in bins.
        hough_smoothing_taps: Bins that it spans.
        best_matches: A box's best scores in other images whose mean ranks it among redundant boxes.
        host_bytes: Host arrays above this size live in a temporary file, so that memory stays bounded.
    """

    descriptor: str = "auto"
    endpoint: str = ""
    endpoint_cells: int = 12
    network_weight: float = 0.5
    network_ridge: float = 10.0
    score: str = "lom"
    flip: bool = False
    whitening_ridge: float = 0.01
    max_aspect_ratio: float = 2.0
    offset_weight: float = 0.05
    scale_weight: float = 0.3
    median_steps: int = 20
    median_epsilon: float = 0.5
    median_scale_epsilon: float = 0.05
    hough_bins: int = 8000
    hough_min_cell: float = 5.0
    hough_scale_bins: int = 20
    hough_scale_range: float = 4.0
    hough_smoothing: float = 1.062
    hough_smoothing_taps: int = 5
    best_matches: int = 100
    host_bytes: int = 2**30

    def __post_init__(self) -> None:
        """Check ranges."""
        if self.score not in SCORES:
            raise ValueError(f"`score` must be one of {', '.join(SCORES)}, got {self.score!r}.")
        if self.descriptor not in DESCRIPTORS:
            raise ValueError(f"`descriptor` must be one of {', '.join(DESCRIPTORS)}, got {self.descriptor!r}.")
        if not 0 < self.network_weight < 1:
            raise ValueError(f"`network_weight` must be in (0, 1), got {self.network_weight}.")
        for name in ("endpoint_cells", "median_steps", "hough_bins", "hough_scale_bins", "best_matches", "host_bytes"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be positive, got {getattr(self, name)}.")
        for name in (
            "whitening_ridge",
            "network_ridge",
            "median_epsilon",
            "median_scale_epsilon",
            "hough_min_cell",
            "hough_scale_range",
            "hough_smoothing",
        ):
            if getattr(self, name) <= 0:
                raise ValueError(f"`{name}` must be positive, got {getattr(self, name)}.")
        for name in ("offset_weight", "scale_weight"):
            if getattr(self, name) < 0:
                raise ValueError(f"`{name}` must not be negative, got {getattr(self, name)}.")
        if self.max_aspect_ratio <= 1:
            raise ValueError(f"`max_aspect_ratio` must be above 1, got {self.max_aspect_ratio}.")
        if self.hough_smoothing_taps < 1 or self.hough_smoothing_taps % 2 == 0:
            raise ValueError(f"`hough_smoothing_taps` must be odd, got {self.hough_smoothing_taps}.")
