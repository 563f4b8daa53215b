"""Explanations against rendered truth: VE's features and heat maps, and visual summaries, on an8Flower's variants.

    python benchmarks/eval_an8flower.py --json [--variants single-6c double-12c] [--train N] [--test N] [--keep DIR]

For each variant: flowers are rendered twice, from two seeds. On the first set, features are selected and summaries
made; the second one is seen by nobody before heat maps are compared on it and relevant filters are switched off. Each
step is a `vissum` command in a process of its own. Results go to `results/an8flower_<variant>.json`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from vissum_jax._version import __version__

ROOT = Path(__file__).parents[1]

VARIANTS = ("single-6c", "double-12c")
SEEDS = {"train": 0, "test": 1}
"""Of the flowers; the networks were trained on flowers of others."""
MU = 5.0
"""VE's bound for an8Flower."""
CONFIG = ROOT / "configs" / "an8flower.toml"
FEWEST_TIMES, LARGEST_SHARE_OF_GRID, LEAST_ON_OWN_PART = 3.0, 0.5, 0.9
HEATMAPS = (
    *("images", "left_out", "accuracy", "truth_area", "stride", "scoring", "made_with", "methods", "differences"),
    *("by_class", "stride_fix"),
)
"""What is kept of the comparison of heat maps."""

_CHILD = "from vissum_jax.cli.main import main; main()"


def vissum(*arguments: object) -> dict[str, Any]:
    """What a command prints with ``--json``."""
    command = [sys.executable, "-c", _CHILD, *map(str, arguments), "--json"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout)


def evaluate(variant: str, folder: Path, *, train: int, test: int, rise_masks: int) -> dict[str, Any]:
    """All steps for a variant."""
    began, seconds = time.perf_counter(), {}
    model = f"flowernet-{variant}"
    flowers, features, run = ({"train": folder / "train", "test": folder / "test"}, folder / "features", folder / "run")

    def timed(name: str, *arguments: object) -> dict[str, Any]:
        started = time.perf_counter()
        print(f"{variant}: {name}", file=sys.stderr, flush=True)
        values = vissum(*arguments)
        seconds[name] = round(time.perf_counter() - started, 1)
        return values

    for part, count in (("train", train), ("test", test)):
        options = ("--variant", variant, "--images-per-class", count, "--seed", SEEDS[part])
        timed(f"render {part}", "data", "an8flower", flowers[part], *options)
    images, unseen = flowers["train"] / "images", flowers["test"] / "images"
    named = ("--model", model)
    selected = timed("select", "features", "select", images, *named, "--mu", MU, "--test", unseen, "--out", features)
    truth = ("--truth", flowers["test"], "--features", features, "--rise-masks", rise_masks)
    heatmaps = timed("heat maps", "evaluate", "heatmaps", unseen, *named, *truth, "--out", folder / "heatmaps")
    outcome = timed("run", "run", images, *named, "--config", CONFIG, "--out", run)
    parts = timed("parts", "evaluate", "parts", run, "--truth", flowers["train"])
    return {
        "variant": variant,
        "version": __version__,
        "settings": {"train": train, "test": test, "seeds": SEEDS, "mu": MU, "rise_masks": rise_masks},
        "seconds": {**seconds, "all": round(time.perf_counter() - began, 1)},
        "targets": targets(selected, heatmaps, parts),
        "features": {name: selected[name] for name in ("model", "weights_sha256", "filters", "mu", "classes", "check")},
        "heatmaps": {name: heatmaps[name] for name in HEATMAPS},
        "summaries": {
            "classes": outcome["classes"],
            **{name: parts[name] for name in ("on_own_part", "over_classes", "stability", "differences")},
        },
    }


def targets(selected: Mapping[str, Any], heatmaps: Mapping[str, Any], parts: Mapping[str, Any]) -> dict[str, Any]:
    """What is to be shown, with the figures that decide it."""
    methods, check = heatmaps["methods"], selected["check"]["own"]
    own = methods["ve"]["auc"]
    beaten = {name: own > methods[name]["auc"] for name in ("deconvnet", "grad_cam")}
    ratio = heatmaps["stride_fix"]["ve"]["ratio"]
    share = parts["on_own_part"]["share"]
    lost, random = check["accuracy_lost"], check["random_accuracy_lost"]
    return {
        "ve_beats": {name: {"ve": own, name: methods[name]["auc"], "met": met} for name, met in beaten.items()},
        "grid_energy_at_least_halved": {"ratio": ratio, "met": ratio <= LARGEST_SHARE_OF_GRID},
        "relevant_filters_cost_three_times": {
            "accuracy_lost": lost,
            "random_accuracy_lost": random,
            "met": lost > 0 and lost >= FEWEST_TIMES * random,
        },
        "members_on_the_discriminative_part": {
            "share": share,
            "met": share is not None and share >= LEAST_ON_OWN_PART,
        },
    }


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=[*VARIANTS, "part-2c"])
    parser.add_argument("--train", type=int, default=20, help="flowers of a class for features and summaries")
    parser.add_argument("--test", type=int, default=10, help="flowers of a class for heat maps and the check")
    parser.add_argument("--rise-masks", type=int, default=500, help="of RISE, whose paper takes 4000")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="folder of the results")
    parser.add_argument("--keep", type=Path, help="folder for flowers and runs; the same command goes on there")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as scratch:
        for variant in arguments.variants:
            results[variant] = evaluate(
                variant,
                (arguments.keep or Path(scratch)) / variant,
                train=arguments.train,
                test=arguments.test,
                rise_masks=arguments.rise_masks,
            )
            path = arguments.out / f"an8flower_{variant}.json"
            path.write_text(json.dumps(results[variant], indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if arguments.json:
        print(json.dumps(results))
        return
    for variant, found in results.items():
        print(f"{variant}, {found['seconds']['all']:.0f} s")
        print(json.dumps(found["targets"], indent=1))


if __name__ == "__main__":
    main()
