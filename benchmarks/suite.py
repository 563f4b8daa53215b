"""Everything that matters on a device, within nine minutes, on a machine that has JAX and Flax and little else.

    python -m benchmarks.suite --device cpu|gpu|tpu [--json] [--quick]

Networks have random weights, so that nothing has to be carried along. Cases come in order of importance; one for
which the time that is left will not do is skipped, and the output says so. Every rate stands beside what the device
itself was measured to do, in a large matrix product and in a large copy: `share_of_peak` counts the arithmetic of
convolutions and matrix products, `share_of_bandwidth` the bytes that these must read and write. Ratios are the peer's
time / ours, in turn, with quartiles over the rounds.

Rows are appended to `benchmarks/results/<device>.csv`, a case at a time, so that nothing is lost with the machine; with
--quick, which proves that everything runs and measures nothing worth keeping, only if --results says where.

Needs jax, flax, optax, numpy and scipy; the peers torch, without which their rows are left out.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import importlib.util
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.bare import stand_in

STOOD_IN = stand_in()
# PyTorch's share of a GPU's memory; to be said before JAX takes it.
os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.6")

import jax  # noqa: E402

from benchmarks import records  # noqa: E402
from benchmarks.budget import Case, Ended, work_through  # noqa: E402
from benchmarks.measuring import environment, show  # noqa: E402
from benchmarks.suite_cases import Bench, Scale  # noqa: E402

PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "scipy", "torch")
SECONDS, QUICK_SECONDS = 520, 50
"""The budget: below nine minutes and below one, by what starting and the last case may take longer than expected."""

PORTED = ("googlenet-bvlc", "resnet50", "flowernet")  # whose peers there are; see benchmarks/peers/torch_ports.py


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """What is measured on a kind of device.

    Attributes:
        networks: The first one gets all cases.
        precisions: The first one, likewise.
        scale: How much is measured.
        sweep: Further batch sizes of the first network alone.
        guess: Seconds that a case of cost 1 takes, until there is something to judge by.
        seconds: The budget.
    """

    networks: tuple[str, ...]
    precisions: tuple[str, ...]
    scale: Scale
    sweep: tuple[int, ...] = ()
    guess: float
    seconds: float


_CPU = Plan(
    networks=("googlenet-bvlc", "resnet50", "efficientnet-lite0"),
    precisions=("float32",),
    scale=Scale(
        batch=8,
        iterations=6,
        search_steps=120,
        rounds=5,
        seconds=15,
        matrix_side=2048,
        copy_bytes=2**28,
        class_images=7,
        boxes=500,
    ),
    guess=12,
    seconds=SECONDS,
)
_ACCELERATOR = Plan(
    networks=("resnet50", "googlenet-bvlc", "efficientnet-lite0"),
    precisions=("bfloat16", "float32"),
    scale=Scale(
        batch=128,
        iterations=20,
        search_steps=120,
        rounds=9,
        seconds=8,
        matrix_side=8192,
        copy_bytes=2**32,
        class_images=50,
        boxes=500,
    ),
    sweep=(32, 512),
    guess=20,
    seconds=SECONDS,
)


def plan_for(device: str, *, quick: bool, batch: int | None = None) -> Plan:
    """What is measured on a kind of device: cpu, gpu or tpu."""
    plan = _CPU if device == "cpu" else _ACCELERATOR
    if quick:
        small = {"iterations": 2, "search_steps": 4, "rounds": 2, "seconds": 2.0, "class_images": 4, "boxes": 64}
        tiny = {"batch": 2, "matrix_side": 1024, "copy_bytes": 2**26}
        scale = dataclasses.replace(plan.scale, **small, **tiny)
        networks = ("flowernet", plan.networks[0])
        plan = dataclasses.replace(plan, networks=networks, scale=scale, sweep=(), guess=4, seconds=QUICK_SECONDS)
    return plan if batch is None else dataclasses.replace(plan, scale=dataclasses.replace(plan.scale, batch=batch))


def why_no_peers(device: str, network: str) -> str:
    """Why PyTorch cannot be measured beside us, else empty."""
    if device == "tpu":
        return "there is no PyTorch for this device here"
    if network not in PORTED:
        return f"there is no version of {network} in PyTorch"
    if importlib.util.find_spec("torch") is None:
        return "torch is not installed"
    if device == "gpu":
        import torch

        if not torch.cuda.is_available():
            return "this torch has no GPU"
    return ""


def cases_of(plan: Plan, bench: Bench, device: str) -> list[Case]:
    """All cases in order of importance; costs are in compilations of a network."""
    main, first = plan.networks[0], plan.precisions[0]
    batch = plan.scale.batch

    def bare(name: str, precision: str, size: int) -> Case:
        label = f"{name} {precision}, value and gradient, batch {size}"
        return Case(label, 1, lambda: bench.bare(name, precision, size))

    def preset(name: str, cost: float) -> Case:
        return Case(f"{main} {first}, {name}", cost, lambda: bench.preset(name, main, first))

    return [
        Case("ceilings", 1, lambda: bench.ceilings(plan.precisions)),
        bare(main, first, batch),
        preset("authors", 2.5),
        Case(f"{main} {first}, PyTorch", 4, lambda: bench.peers(main, first), why_no_peers(device, main)),
        preset("compact", 6),
        Case("matching", 1.5, bench.matching),
        preset("paper", 2.5),
        preset("iebb", 2),
        Case(f"{main} {first}, slots", 6, lambda: bench.slots(main, first)),
        *(
            bare(name, precision, batch)
            for precision in plan.precisions
            for name in plan.networks
            if (name, precision) != (main, first)
        ),
        *(bare(main, first, size) for size in plan.sweep),
    ]


def measure(plan: Plan, device: str, where: dict[str, Any], results: Path | None) -> list[Ended]:
    """Work through the cases, saying on standard error how far it is, and keep rows as they come."""
    bench, began = Bench(plan.scale), time.perf_counter()
    measured = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M")
    path = None if results is None else records.device_file(where, results)
    ended = []
    for one in work_through(cases_of(plan, bench, device), seconds=plan.seconds, guess=plan.guess):
        ended.append(one)
        how = (one.skipped and f"left out: {one.skipped}") or (one.failed and f"failed: {one.failed}")
        print(
            f"{time.perf_counter() - began:5.0f} s  {one.case}: {how or f'{one.seconds:.1f} s'}",
            file=sys.stderr,
            flush=True,
        )
        if path is not None:
            left_out = [{"case": one.case, "note": f"left out: {one.skipped}"}] if one.skipped else []
            records.append(path, [*one.rows, *left_out], where, measured)
    return ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, measure, print; 1 if a case failed, 2 where the device is another one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "gpu", "tpu"), required=True)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    parser.add_argument("--quick", action="store_true", help="a small network, few images and rounds: a minute")
    parser.add_argument("--batch", type=int, help="images at once")
    parser.add_argument("--commit", help="the commit that is measured, where the files are no git checkout")
    parser.add_argument("--results", type=Path, help="folder of the CSV files")
    options = parser.parse_args(arguments)
    if options.device == "cpu":
        jax.config.update("jax_platforms", "cpu")
    if jax.default_backend() != options.device:
        print(f"suite: error: JAX computes on {jax.default_backend()}, not on {options.device}.", file=sys.stderr)
        return 2
    where = environment(PACKAGES)
    if options.commit:
        where["commit"] = options.commit
    plan = plan_for(options.device, quick=options.quick, batch=options.batch)
    results = options.results or (None if options.quick else records.RESULTS)
    ended = measure(plan, options.device, where, results)
    rows = [row for one in ended for row in one.rows]
    skipped = [{"case": one.case, "reason": one.skipped} for one in ended if one.skipped]
    failed = [{"case": one.case, "error": one.failed} for one in ended if one.failed]
    if options.json:
        about = {"quick": options.quick, "stood_in": STOOD_IN, "plan": dataclasses.asdict(plan)}
        print(json.dumps({**where, **about, "results": rows, "skipped": skipped, "failed": failed}, indent=1))
    else:
        print("\n".join(show(row) for row in rows))
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
