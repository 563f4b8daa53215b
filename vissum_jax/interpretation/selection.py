"""Which filters matter for which class: what the mu-lasso selected (VE section 3.1)."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from vissum_jax.interpretation.responses import Columns

WEIGHTS, FACTS = "weights.npz", "selection.json"


@dataclass(frozen=True, kw_only=True)
class FeatureSelection:
    """The relevant features of each class.

    Attributes:
        model: Name of the network.
        columns: The filters, one a row of `weights`.
        weights: W, a column a class with ||w_j||_1 <= mu; exactly 0 where a filter is not relevant.
        class_index: The network's logit of each class.
        class_names: Their names.
        mu: Radius of the l1 ball.
    """

    model: str
    columns: Columns
    weights: Float[np.ndarray, "columns classes"]
    class_index: Int[np.ndarray, " classes"]
    class_names: tuple[str, ...]
    mu: float

    def __post_init__(self) -> None:
        """Check that the parts fit each other."""
        shape = (len(self.columns), len(self.class_names))
        if self.weights.shape != shape:
            raise ValueError(f"`weights` must be of shape {shape}, got {self.weights.shape}.")
        if self.class_index.shape != shape[1:]:
            raise ValueError(f"`class_index` must be one per class, got {self.class_index.shape[0]} for {shape[1]}.")

    def position(self, class_index: int) -> int:
        """Position of a class, given by its logit, in `weights` and `class_names`.

        Raises:
            ValueError: If nothing was selected for the class.
        """
        (found,) = np.nonzero(self.class_index == class_index)
        if not len(found):
            raise ValueError(f"`class_index` {class_index} is none of the classes that features were selected for.")
        return int(found[0])

    def relevant(self, class_index: int) -> Int[np.ndarray, " k"]:
        """Columns with a nonzero weight for a class, given by its logit; the largest magnitude first.

        Raises:
            ValueError: If nothing was selected for the class.
        """
        weights = self.weights[:, self.position(class_index)]
        order = np.argsort(-np.abs(weights), kind="stable")
        return order[: np.count_nonzero(weights)]

    def encode(self) -> dict[str, bytes]:
        """The files of a selection, by name: ``weights.npz`` and ``selection.json``."""
        arrays = io.BytesIO()
        np.savez_compressed(arrays, weights=self.weights, class_index=self.class_index)
        facts = {
            "model": self.model,
            "layers": self.columns.layers,
            "widths": self.columns.widths,
            "class_names": self.class_names,
            "mu": self.mu,
        }
        return {WEIGHTS: arrays.getvalue(), FACTS: json.dumps(facts, indent=1).encode()}

    def save(self, folder: Path | str) -> None:
        """Write the files into a folder that exists."""
        for name, data in self.encode().items():
            (Path(folder) / name).write_bytes(data)

    @classmethod
    def load(cls, folder: Path | str) -> FeatureSelection:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: If there is no selection in the folder.
            ValueError: If the files are damaged.
        """
        try:
            facts = json.loads((Path(folder) / FACTS).read_text(encoding="utf-8"))
            # From memory: of a damaged file NumPy would leave the handle open.
            data = io.BytesIO((Path(folder) / WEIGHTS).read_bytes())
            with np.load(data, allow_pickle=False) as arrays:
                weights, class_index = arrays["weights"], arrays["class_index"]
            return cls(
                model=facts["model"],
                columns=Columns(tuple(facts["layers"]), tuple(facts["widths"])),
                weights=weights,
                class_index=class_index,
                class_names=tuple(facts["class_names"]),
                mu=facts["mu"],
            )
        except FileNotFoundError:
            raise FileNotFoundError(
                f"{str(folder)!r} holds no selected features; make them with `vissum features select`."
            ) from None
        except (KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
            raise ValueError(f"{str(folder)!r}: the selection is damaged: {error}.") from error
