"""What counts as a proposal."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ProposalConfig:
    """Constants of proposals and of their pruning (VS 3.2).

    Attributes:
        mode: Selective search's setting, ``fast`` or ``quality``.
        min_side: Shorter boxes are dropped, in pixels.
        margin_share: Width of the image's margin as a share of its sides. A box that enters it is dropped,
            except one that enters all four.
        max_proposals: Boxes kept per image; more are thinned at random.
        seed: Of the order of the boxes.
        mask_growth: Pixels by which a mask is grown (by a disc) before boxes are compared with it; 0 for VS's
            rule to the letter. VS's masks cover well over half of a photograph and lie loosely around the parts.
            The smallest masks that destroy a score cover the middle of a part rather than the part: of 17
            saxophones whose masks took 6 % of the picture, boxes filled them in two places an image.
        salient_fill: A box is salient when more than this share of its area is.
        redundancy_overlap: Two boxes may be redundant when their intersection is at least this share of
            the smaller one,
        redundancy_area_ratio: and they are when the larger has less than this many times the smaller's area.
    """

    mode: str = "quality"
    min_side: int = 20
    margin_share: float = 0.01
    max_proposals: int = 500
    seed: int = 0
    mask_growth: int = 5
    salient_fill: float = 0.75
    redundancy_overlap: float = 0.5
    redundancy_area_ratio: float = 2.0

    def __post_init__(self) -> None:
        """Check ranges."""
        if self.mode not in ("fast", "quality"):
            raise ValueError(f"`mode` must be 'fast' or 'quality', got {self.mode!r}.")
        for name in ("min_side", "max_proposals"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be positive, got {getattr(self, name)}.")
        for name in ("seed", "mask_growth"):
            if getattr(self, name) < 0:
                raise ValueError(f"`{name}` must not be negative, got {getattr(self, name)}.")
        if not 0 <= self.margin_share < 0.5:
            raise ValueError(f"`margin_share` must be in [0, 0.5), got {self.margin_share}.")
        if not 0 <= self.salient_fill < 1:
            raise ValueError(f"`salient_fill` must be in [0, 1), got {self.salient_fill}.")
        if not 0 < self.redundancy_overlap <= 1:
            raise ValueError(f"`redundancy_overlap` must be in (0, 1], got {self.redundancy_overlap}.")
        if self.redundancy_area_ratio < 1:
            raise ValueError(f"`redundancy_area_ratio` must be at least 1, got {self.redundancy_area_ratio}.")
