"""Calibrated linear SVMs as arrays: what a specialised classifier is made of, without the library that trains them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True, kw_only=True)
class Machines:
    """Calibrated linear SVMs: p_k(f) = 1 / (1 + exp(slope_k (w_k f + b_k) + offset_k)).

    Attributes:
        weight: Normals w.
        bias: b.
        slope: Platt's, of each machine; negative for one that is better than chance.
        offset: Platt's.
        class_index: Class of each machine.
        summary: Number of its summary within the class.
    """

    weight: Float[np.ndarray, "k d"]
    bias: Float[np.ndarray, " k"]
    slope: Float[np.ndarray, " k"]
    offset: Float[np.ndarray, " k"]
    class_index: Int[np.ndarray, " k"]
    summary: Int[np.ndarray, " k"]

    def __len__(self) -> int:
        return len(self.bias)
