"""What passes between the stages.

Data flows images -> masks -> proposals -> matches -> clusters -> summaries -> report. Every arrow is one of
the frozen types of this file. Arrays that hold a varying number of things per image are padded, with a
validity array beside them. One name for one dimension everywhere:

    n  images            h, w  mask geometry (the network's input, in pixels)
    p  proposals/image   b     images in a device batch

Masks follow the papers: a mask value of 1 keeps a pixel, 0 perturbs it fully; *salient* is ``mask < 0.5``.
Boxes are (x, y, width, height) in pixels of the mask geometry, x to the right and y down, from the upper
left corner of the upper left pixel.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int

PyTree = Any


class Outputs(NamedTuple):
    """What a network answers for a batch.

    Attributes:
        logits: Class scores before the softmax.
        endpoints: Named activations, batch first, channels last.
    """

    logits: Float[Array, "b classes"]
    endpoints: Mapping[str, Array]


@dataclass(frozen=True, kw_only=True)
class ClassifierSpec:
    """What a caller must know about a network to feed it and to read its answers.

    Attributes:
        name: Registry name, e.g. ``googlenet-bvlc``.
        input_height: Height of the network's input in pixels.
        input_width: Width of the network's input in pixels.
        resize_short_side: Photographs are resized so that their short side has this many pixels, then
            centre-cropped to the input size.
        interpolation: Filter of that resize, ``bilinear`` or ``bicubic`` (both antialiased).
        class_names: One name per logit.
        wordnet_ids: One WordNet id per logit, or empty where the classes are not ImageNet's.
        known_top1: Published top-1 accuracy on ImageNet's validation images, as a share, or None.
        feature_endpoint: Endpoint that serves as the image's feature vector: the first fully connected
            layer after its ReLU, or the pooled penultimate features where there is none.
        weights_sha256: Hash of the weights file, or empty where there is no file.
    """

    name: str
    input_height: int
    input_width: int
    resize_short_side: int
    class_names: tuple[str, ...]
    feature_endpoint: str
    interpolation: str = "bilinear"
    wordnet_ids: tuple[str, ...] = ()
    known_top1: float | None = None
    weights_sha256: str = ""

    def __post_init__(self) -> None:
        """Check that sizes are positive and that names and ids agree in number."""
        for name in ("input_height", "input_width", "resize_short_side"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be positive, got {getattr(self, name)}.")
        if self.interpolation not in ("bilinear", "bicubic"):
            raise ValueError(f"`interpolation` must be 'bilinear' or 'bicubic', got {self.interpolation!r}.")
        if self.wordnet_ids and len(self.wordnet_ids) != len(self.class_names):
            raise ValueError(
                f"`wordnet_ids` must be empty or one per class, got {len(self.wordnet_ids)} ids for "
                f"{len(self.class_names)} classes."
            )


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Classifier:
    """The boundary to networks: everything outside `models` sees a network only as this.

    A pytree whose leaves are the parameters, so that it crosses `jax.jit` as an argument; `apply` and `spec`
    are static. Build it once per load: another `apply` closure means another compilation.

    Attributes:
        params: The network's parameters.
        apply: ``apply(params, images) -> Outputs`` for images (b, h, w, 3), RGB in [0, 1], of exactly the
            input size; normalisation and channel order are its own business.
        spec: Input geometry, class names and provenance.
    """

    params: PyTree
    apply: Callable[[PyTree, Float[Array, "b h w 3"]], Outputs] = field(metadata={"static": True})
    spec: ClassifierSpec = field(metadata={"static": True})

    def __call__(self, images: Float[Array, "b h w 3"]) -> Outputs:
        """Apply the network to images in [0, 1]."""
        return self.apply(self.params, images)


class Crop(NamedTuple):
    """The box of the original photograph, in its pixels, that a network's input shows."""

    x: float
    y: float
    w: float
    h: float


class MaskStatus(enum.StrEnum):
    """How the work on one image ended (the `status` column of the mask rows)."""

    OK = "ok"
    SKIPPED_PREDICTION = "skipped_prediction"  # the network's own answer is not the label
    INFEASIBLE = "infeasible"  # no binary mask reached the target; the best found is kept
    UNREADABLE = "unreadable"  # the file could not be decoded
    NON_FINITE = "non_finite"  # the network answered NaN or infinity


HAS_MASK = (MaskStatus.OK, MaskStatus.INFEASIBLE)
"""Statuses whose rows hold a mask."""


@dataclass(frozen=True, kw_only=True)
class MaskBatch:
    """Masks of n images and what is known about each; NumPy arrays on the host.

    Rows whose status is not in `HAS_MASK` hold an all-kept mask (soft = 1, salient = False) and NaN measures.

    Attributes:
        soft: Continuous mask in [0, 1], 1 = keep.
        salient: The binary mask: True where pixels are perturbed.
        status: `MaskStatus` of each image.
        reason: One line where the status is not ``ok``, else empty.
        class_index: Class explained.
        predicted_index: The network's own argmax on the clean image.
        p_original: Softmax probability of the class on the clean image.
        p_soft: The same under the preset's perturbation with the continuous mask.
        p_binary: The same with the binary mask, judged by the varying blur whatever the preset.
        area: Share of salient pixels.
        transfer_drop: Drop of the binary mask under a perturbation it was not optimised for (mean colour).
        components: Number of 8-connected salient regions.
        passes: Evaluations of the network spent on the image (one with its gradient counts once).
    """

    soft: Float[np.ndarray, "n h w"]
    salient: Bool[np.ndarray, "n h w"]
    status: tuple[MaskStatus, ...]
    reason: tuple[str, ...]
    class_index: Int[np.ndarray, n]
    predicted_index: Int[np.ndarray, n]
    p_original: Float[np.ndarray, n]
    p_soft: Float[np.ndarray, n]
    p_binary: Float[np.ndarray, n]
    area: Float[np.ndarray, n]
    transfer_drop: Float[np.ndarray, n]
    components: Int[np.ndarray, n]
    passes: Int[np.ndarray, n]

    def __len__(self) -> int:
        return len(self.status)

    def select(self, rows: Int[np.ndarray, k]) -> MaskBatch:
        """Some of the images, in the order given."""
        values: dict[str, Any] = {
            name: tuple(column[row] for row in rows) if isinstance(column, tuple) else column[rows]
            for name, column in vars(self).items()
        }
        return MaskBatch(**values)

    @property
    def has_mask(self) -> Bool[np.ndarray, n]:
        """Rows that hold a mask."""
        return np.array([status in HAS_MASK for status in self.status], dtype=bool)

    @property
    def drop_soft(self) -> Float[np.ndarray, n]:
        """(p0 - p1) / p0 with the continuous mask (VS 4.1)."""
        return (self.p_original - self.p_soft) / self.p_original

    @property
    def drop_binary(self) -> Float[np.ndarray, n]:
        """(p0 - p1) / p0 with the binary mask (VS 4.1)."""
        return (self.p_original - self.p_binary) / self.p_original

    def _repr_html_(self) -> str:
        from vissum_jax import notebook  # late: see there

        shown = range(min(len(self), notebook.MOST_ROWS))
        pictures = [notebook.mask_picture(self.soft[row], self.salient[row]) for row in shown]
        columns = {
            "image": range(len(self)),
            "mask": [notebook.thumbnail(picture, f"Mask of image {row}") for row, picture in enumerate(pictures)],
            "class": self.class_index,
            "answered": self.predicted_index,
            "probability": self.p_original,
            "drop": self.drop_binary,
            "area": self.area,
            "transfer": self.transfer_drop,
            "status": [
                f"{status}: {why}" if why else status for status, why in zip(self.status, self.reason, strict=True)
            ],
        }
        note = f"{self.has_mask.sum()} of {len(self)} images have a mask; red is what it perturbs"
        return notebook.table("MaskBatch", note, columns, rows=len(self))


@dataclass(frozen=True, kw_only=True)
class ProposalBatch:
    """Object proposals of n images of one class, padded to p boxes an image.

    Attributes:
        boxes: (x, y, width, height) in pixels; zeros where not valid.
        valid: False for padding.
        salient: Valid boxes that the image's mask fills (these become members of summaries).
    """

    boxes: Int[np.ndarray, "n p 4"]
    valid: Bool[np.ndarray, "n p"]
    salient: Bool[np.ndarray, "n p"]


@dataclass(frozen=True, kw_only=True)
class Member:
    """One image's part in a summary.

    Attributes:
        image: Row of the image within the class (an index into the class's images and masks).
        box: (x, y, width, height) in pixels of the mask geometry.
        rank: 0 for the exemplar, then by similarity to it.
        similarity: Match score with the exemplar.
        ssim: Median structural similarity with the other members that were compared; NaN if it was not.
        exemplar: Whether affinity propagation chose it as the cluster's exemplar.
        kept: Whether it passes the member rule.
    """

    image: int
    box: tuple[int, int, int, int]
    rank: int
    similarity: float
    ssim: float
    exemplar: bool
    kept: bool


@dataclass(frozen=True, kw_only=True)
class Summary:
    """One visual summary: the same part in many images of a class.

    Attributes:
        number: Position among the class's summaries: kept ones first, the most important first, the largest first.
        members: By rank; the exemplar first.
        ssim: Median off-diagonal structural similarity of the members compared (med_c in VS 3.2).
        kept: Whether it passes the consistency rule.
        reason: Why it was dropped, else empty.
        importance: Mean over the kept members of the share of the class's probability that is lost when the
            member's part alone is blurred; NaN if it was not measured.
        stability: How surely the cluster is found again in some of the images, in [0, 1]; NaN if it was not
            measured.
    """

    number: int
    members: tuple[Member, ...]
    ssim: float
    kept: bool
    reason: str = ""
    importance: float = float("nan")
    stability: float = float("nan")

    @property
    def kept_members(self) -> tuple[Member, ...]:
        """Members that pass the member rule."""
        return tuple(member for member in self.members if member.kept)

    def _repr_html_(self) -> str:
        from vissum_jax import notebook  # late: see there

        names = ("rank", "image", "box", "similarity", "ssim", "kept")
        columns = {name: [getattr(member, name) for member in self.members] for name in names}
        what = "kept" if self.kept else f"dropped: {self.reason}"
        note = f"{what}; SSIM {notebook.cell(self.ssim)}, importance {notebook.cell(self.importance)}"
        return notebook.table(f"Summary {self.number + 1}", note, columns, rows=len(self.members))


@dataclass(frozen=True, kw_only=True)
class ClusterDiagnostics:
    """How the clustering of a class went; reported, never used.

    Attributes:
        images: Images with a mask.
        proposals: Salient proposals before redundant ones were removed.
        clustered: Boxes that went into affinity propagation.
        similarity_max: Largest entry of the match matrix.
        similarity_median: Median of the match matrix.
        converged: Whether affinity propagation converged.
        damping: The damping it converged with (it is raised on failure).
        global_ssim: G, the nanmedian over clusters of their median structural similarity.
    """

    images: int
    proposals: int
    clustered: int
    similarity_max: float = float("nan")
    similarity_median: float = float("nan")
    converged: bool = False
    damping: float = float("nan")
    global_ssim: float = float("nan")


@dataclass(frozen=True, kw_only=True)
class ClassSummaries:
    """All summaries of one class, kept and dropped, or the reason why there are none."""

    class_index: int
    summaries: tuple[Summary, ...]
    diagnostics: ClusterDiagnostics
    reason: str = ""

    @property
    def kept(self) -> tuple[Summary, ...]:
        """Summaries that pass the consistency rule."""
        return tuple(summary for summary in self.summaries if summary.kept)

    def _repr_html_(self) -> str:
        from vissum_jax import notebook  # late: see there

        columns = {
            "summary": [summary.number + 1 for summary in self.summaries],
            "members": [len(summary.members) for summary in self.summaries],
            "kept members": [len(summary.kept_members) for summary in self.summaries],
            "importance": [summary.importance for summary in self.summaries],
            "ssim": [summary.ssim for summary in self.summaries],
            "stability": [summary.stability for summary in self.summaries],
            "verdict": ["kept" if summary.kept else summary.reason for summary in self.summaries],
        }
        note = (
            self.reason
            or f"{len(self.kept)} of {len(self.summaries)} clusters kept, of {self.diagnostics.images} images"
        )
        return notebook.table(f"Class {self.class_index}", note, columns, rows=len(self.summaries))
