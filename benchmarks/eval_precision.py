"""Masks found in bfloat16 beside those found in float32, all judged by the float32 network.

    python benchmarks/eval_precision.py --model googlenet-bvlc --weights bvlc_googlenet.npz --images PHOTOS
        [--classes A,B,..] [--per-class 2] [--json]

`compact` is searched three times: in float32, in float32 with another seed of its shifts, in bfloat16. What the seed
changes is the noise that the precision is held against: differences to the first search, photograph by photograph,
with a 95 % interval by paired bootstrap. Writes benchmarks/results/precision_<model>.json.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.eval_masks import CLASSES, RESULTS, choose
from benchmarks.measuring import environment
from vissum_jax.analysis.bootstrap import BootstrapConfig, paired_difference
from vissum_jax.analysis.randomisation import intersection_over_union
from vissum_jax.cli.main import use_compilation_cache
from vissum_jax.masks.config import CompactConfig
from vissum_jax.masks.extract import extract
from vissum_jax.masks.perturbation import TRANSFERS
from vissum_jax.models import load_classifier
from vissum_jax.pipeline.measure_masks import measure_binary
from vissum_jax.pipeline.memory import count_regions, default_batch_size
from vissum_jax.runs.store import write_atomically

COMPACT = CompactConfig()
FIRST = "float32"
SEARCHES = {FIRST: ("float32", 0), "float32, another seed": ("float32", 1), "bfloat16": ("bfloat16", 0)}
"""Precision and seed of each search."""
COMPARED = ("drop", "area", *(f"transfer_{name}" for name in TRANSFERS), "components", "passes")
"""Measures whose difference to the first search is given."""
MEASURES = (*COMPARED, "iou")
PACKAGES = ("jax", "jaxlib", "numpy")


def main() -> None:
    """Parse, search, judge, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--images", type=Path, required=True, help="folder of class folders")
    parser.add_argument("--classes", default=",".join(CLASSES), help="class folders, separated by commas")
    parser.add_argument("--per-class", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0, help="of the choice of photographs")
    parser.add_argument("--batch-size", type=int, default=default_batch_size())
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    options = parser.parse_args()
    use_compilation_cache()

    networks = {
        precision: load_classifier(options.model, weights=options.weights, precision=precision)
        for precision, _ in SEARCHES.values()
    }
    judge = networks[FIRST]
    classes = options.classes.split(",")
    chosen = choose(judge, options.images, classes, [], [], per_class=options.per_class, seed=options.seed)
    photographs = chosen.photographs

    columns: dict[str, dict[str, np.ndarray]] = {}
    salient: dict[str, np.ndarray] = {}
    for name, (precision, seed) in SEARCHES.items():
        masks = extract(
            networks[precision],
            photographs.images,
            photographs.class_index,
            dataclasses.replace(COMPACT, seed=seed),
            batch_size=options.batch_size,
            count_regions=count_regions,
            skip_mispredicted=False,
        )
        salient[name] = masks.salient
        measured = measure_binary(judge, photographs, masks.salient, batch_size=options.batch_size)
        overlap = [intersection_over_union(a, b) for a, b in zip(masks.salient, salient[FIRST], strict=True)]
        columns[name] = {**measured, "passes": masks.passes, "iou": np.array(overlap)}
        print(f"{name}: {_line(columns[name])}", file=sys.stderr, flush=True)

    searches: dict[str, dict[str, Any]] = {}
    for name, found in columns.items():
        searches[name] = {measure: float(np.mean(found[measure])) for measure in MEASURES}
        searches[name]["reaches_99"] = float(np.mean(found["drop"] >= COMPACT.target_drop))
        searches[name]["minus_float32"] = {
            measure: vars(paired_difference(found[measure], columns[FIRST][measure], BootstrapConfig()))
            for measure in (() if name == FIRST else COMPARED)
        }
    values = {
        **environment(PACKAGES),
        "model": judge.spec.name,
        "weights_sha256": judge.spec.weights_sha256,
        "images": len(photographs.names),
        "classes": classes,
        "searches": searches,
    }
    path = options.out / f"precision_{judge.spec.name}.json"
    write_atomically(path, (json.dumps(values, indent=1) + "\n").encode())
    print(json.dumps(values) if options.json else f"Written to {path}.")


def _line(found: dict[str, np.ndarray]) -> str:
    return ", ".join(f"{measure} {np.mean(found[measure]):.3f}" for measure in MEASURES)


if __name__ == "__main__":
    main()
