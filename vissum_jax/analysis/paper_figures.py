"""Figures that VS reports, to stand beside ours."""

from __future__ import annotations

from typing import NamedTuple

SUMMARIES_ALEXNET = {
    15: 5,
    22: 6,
    207: 7,
    235: 8,
    466: 6,
    820: 6,
    717: 6,
    734: 9,
    683: 2,
    776: 3,
    518: 4,
    560: 4,
    608: 4,
    655: 4,
    515: 3,
    906: 3,
    841: 6,
    770: 3,
}
"""Table 1: summaries of AlexNet that people named, by ImageNet index of the class."""

MEAN_SUMMARIES_ALEXNET = 4.94
"""Table 1: their mean."""


class PaperDrop(NamedTuple):
    """A line of table 2: mean drop of the class's probability, and its variance."""

    label: str
    drop: float
    variance: str


DROPS = (
    PaperDrop("IEBB", 0.99738, "8.13e-04"),
    PaperDrop("IEBB thresh", 0.97704, "5.758e-03"),
    PaperDrop("its own masks", 0.99965, "< 1e-05"),
)
"""Table 2, in its order."""


class PaperCount(NamedTuple):
    """A line of table 3: mean number of summaries a class, and top-1 accuracy on ImageNet."""

    network: str
    summaries: float
    top1: float


COUNTS = (
    PaperCount("AlexNet", 5.0, 0.571),
    PaperCount("VGG16", 5.5, 0.724),
    PaperCount("GoogLeNet", 6.0, 0.745),
    PaperCount("ResNet50", 6.33, 0.762),
)
"""Table 3."""

SPECIALISATION_GAIN = 0.0108
"""Section 4.4: gain in accuracy over 1000 classes, of which 18 were specialised."""
