"""What the suite measures: one function a kind of case, each giving rows of results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.budget import Row
from benchmarks.measuring import Compilations, Program, alternate, compared, compiled, rated, spread
from benchmarks.operations import Peak, Work, network_work, roofline, work_of
from benchmarks.random_networks import abstract_classifier, random_classifier, random_images
from benchmarks.steps import bare_descent, endless, search_passes, shortened, with_gradient
from vissum_jax.masks import phased
from vissum_jax.masks.config import PRESETS, CompactConfig, PhasedConfig
from vissum_jax.masks.extract import extract
from vissum_jax.masks.solve import solve, to_unit
from vissum_jax.matching import Described, MatchingConfig, lom, match_class
from vissum_jax.types import Classifier, ProposalBatch

WORKING_UNIT = "image-iterations"
_PRODUCTS = 8
"""In the program that finds the peak."""
_SALIENT_SHARE = 4
"""One box in so many is salient, as for photographs."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How much is measured.

    Attributes:
        batch: Images at once.
        iterations: Steps of a measured loop: enough that what happens once an image does not count.
        search_steps: Steps of a whole search.
        rounds: How often, at most.
        seconds: After so long in one case no further round begins.
        matrix_side: Of the matrix products that find the peak.
        copy_bytes: Of the copy that finds the bandwidth.
        class_images: Images of a class that is matched.
        boxes: Proposals of each of them.
    """

    batch: int
    iterations: int
    search_steps: int
    rounds: int
    seconds: float
    matrix_side: int
    copy_bytes: int
    class_images: int
    boxes: int


class Bench:
    """Measures cases at one scale, and remembers what they have in common.

    Attributes:
        scale: How much is measured.
        peaks: What the device does, by precision; empty until `ceilings` has measured it.
    """

    def __init__(self, scale: Scale) -> None:
        """Measure nothing yet."""
        self.scale = scale
        self.peaks: dict[str, Peak] = {}
        self._floors: dict[tuple[str, str, int], Program] = {}

    def ceilings(self, precisions: Sequence[str]) -> list[Row]:
        """A large matrix product in every precision, and a large copy."""
        side, scale = self.scale.matrix_side, self.scale
        key = jax.random.key(0)
        buffer = jax.random.normal(key, (scale.copy_bytes // 4,))  # random: zeros can be faster than data
        copy = self._ceiling(f"copy of {scale.copy_bytes >> 20} MiB", compiled(jnp.copy, buffer), 2.0 * buffer.nbytes)
        rows = [{**copy, "unit": "bytes/s"}]
        for precision in precisions:
            left, right = (jax.random.normal(k, (side, side)) / side**0.5 for k in jax.random.split(key))
            program = compiled(_products, left.astype(precision), right.astype(precision))
            case = f"matrix product {side}, {precision}"
            product = self._ceiling(case, program, _PRODUCTS * 2.0 * side**3)
            self.peaks[precision] = Peak(product["value"], copy["value"])
            rows.append({**product, "unit": "operations/s"})
        return rows

    def _ceiling(self, case: str, program: Program, work: float) -> Row:
        """The best of the rounds: what a device can do, not what it does."""
        (seconds,), again = self._alternate([program.step])
        best = {"case": case, "metric": "throughput, best round", "value": work / min(seconds)}
        return self._described(best, program, seconds, again)

    def bare(self, name: str, precision: str, batch: int) -> list[Row]:
        """Value and gradient of a network alone, as steps in a compiled loop."""
        program = self._floor(name, precision, batch)
        count = batch * self.scale.iterations
        row = self._run(f"{name} {precision}, value and gradient", program, count, WORKING_UNIT)
        return [{**row, "batch": batch, **self._roof(_per_image(name, precision, batch), row, precision)}]

    def preset(self, preset: str, name: str, precision: str) -> list[Row]:
        """A preset's steps beside the bare network's: `ratio` is 1 without any overhead."""
        config = PRESETS[preset]
        if isinstance(config, CompactConfig):
            return self._search(config, name, precision)
        batch = self.scale.batch
        classifier, x, own = self._inputs(name, precision, batch)
        short = shortened(config, self.scale.iterations)
        program = compiled(partial(phased.minimise, config=short), classifier, x, own)
        return [self._overhead(f"{preset}, a step", program, phased.evaluations(short), name, precision)]

    def _search(self, config: CompactConfig, name: str, precision: str) -> list[Row]:
        """Whole searches, from 8-bit images to judged masks, in which no image stops early: the least rate there is."""
        batch = self.scale.batch
        classifier, x, own = self._inputs(name, precision, batch)
        whole = endless(config, self.scale.search_steps)
        bytes_of = jnp.asarray(random_images(batch, x.shape[1]))
        program = compiled(partial(solve, config=whole), classifier, bytes_of, own, jnp.ones(batch, bool))
        evaluations = with_gradient(search_passes(whole), whole)
        row = self._overhead(f"compact, whole search of {whole.steps} steps", program, evaluations, name, precision)
        note = f"{search_passes(whole)} evaluations an image; fewer where images stop early"
        images = {**row, "value": row["value"] / evaluations, "unit": "images/s", "note": note}
        images["peer"] = row["peer"] / evaluations
        return [images, row]

    def slots(self, name: str, precision: str) -> list[Row]:
        """Masks of more images than a batch holds, each leaving when it is done, on all of this host's devices."""
        config = PRESETS["compact"]
        assert isinstance(config, CompactConfig)  # noqa: S101
        batch = self.scale.batch
        classifier, x, _ = self._inputs(name, precision, batch)
        short = config if self.scale.search_steps >= config.steps else endless(config, self.scale.search_steps)
        images = random_images(3 * batch, x.shape[1])
        passes: list[float] = []

        def masks() -> None:
            found = extract(
                classifier,
                images,
                None,
                short,
                batch_size=batch,
                count_regions=lambda mask: 1,  # the host's own work is not measured here
                skip_mispredicted=False,
            )
            passes.append(float(found.passes.mean()))

        seconds, again = self._alternate([masks])
        count = len(images) * with_gradient(passes[-1], short)
        row = rated(
            f"{name} {precision}, masks of {len(images)} images by way of slots",
            seconds[0],
            work=count,
            unit=WORKING_UNIT,
        )
        note = f"{passes[-1]:.1f} evaluations an image on average, of random pictures by random weights"
        roof = self._roof(_per_image(name, precision, batch), row, precision)
        return [{**row, **spread(seconds[0]), "batch": batch, "recompilations": again, "note": note, **roof}]

    def peers(self, name: str, precision: str) -> list[Row]:
        """`authors` beside PyTorch: the strong version and the published loop."""
        from benchmarks.peers import torch_suite

        config = PRESETS["authors"]
        assert isinstance(config, PhasedConfig)  # noqa: S101
        short = shortened(config, self.scale.iterations)
        classifier, x, _ = self._inputs(name, precision, self.scale.batch)
        own = jnp.argmax(classifier(x).logits, axis=1)
        program = compiled(partial(phased.minimise, config=short), classifier, x, own)
        theirs = torch_suite.steps(
            random_classifier(name, "float32"), np.asarray(x), np.asarray(own), short, bfloat16=precision == "bfloat16"
        )
        (ours, strong, loop), again = self._alternate([program.step, theirs.strong, theirs.published])
        count = len(x) * phased.evaluations(short)
        rows = [
            compared(f"{name} {precision}, authors against {who}", ours, seconds, work=count, unit=WORKING_UNIT)
            for who, seconds in (
                (theirs.strong_name, strong),
                ("the published loop", [len(x) * one for one in loop]),  # one image at a time
            )
        ]
        return [self._described(row, program, ours, again) | {"batch": len(x)} for row in rows]

    def matching(self) -> list[Row]:
        """A class's match scores, descriptors included, and the scores of pairs alone."""
        count, boxes = self.scale.class_images, self.scale.boxes
        config = MatchingConfig(descriptor="hog")
        images, proposals = random_images(count, 224), random_boxes(count, boxes, 224)
        (seconds,), again = self._alternate([lambda: match_class(images, proposals, config)])
        pairs = count * (count + 1) // 2
        case = f"matching of {count} images with {boxes} boxes"
        whole = {**rated(f"{case}, descriptors included", seconds, work=pairs, unit="pairs"), **spread(seconds)}
        rows = max(1, boxes // _SALIENT_SHARE)
        tile = 1 if jax.default_backend() == "cpu" else 16
        described = _described_images(proposals, tile)

        def score(first: Described, second: Described) -> jax.Array:
            return jax.vmap(lambda a, b: lom(a, b, config, rows=rows))(first, second)

        program = compiled(score, described, described)
        one = self._run(f"match scores, {boxes} boxes, {rows} of them salient", program, tile, "pairs")
        work = work_of(score, described, described) * (1 / tile)
        return [{**whole, "recompilations": again}, {**one, "batch": tile, **self._roof(work, one, "float32")}]

    def _inputs(self, name: str, precision: str, batch: int) -> tuple[Classifier, jax.Array, jax.Array]:
        classifier = random_classifier(name, precision)
        images = to_unit(jnp.asarray(random_images(batch, classifier.spec.input_height)))
        return classifier, images, jnp.zeros(batch, jnp.int32)

    def _floor(self, name: str, precision: str, batch: int) -> Program:
        """The bare network's descent; compiled once."""
        key = (name, precision, batch)
        if key not in self._floors:
            self._floors[key] = compiled(bare_descent(self.scale.iterations), *self._inputs(*key))
        return self._floors[key]

    def _overhead(self, case: str, program: Program, evaluations: float, name: str, precision: str) -> Row:
        """A program's steps in turn with the bare network's, per image and evaluation."""
        batch, steps = self.scale.batch, self.scale.iterations
        floor = self._floor(name, precision, batch)
        (mine, bare), again = self._alternate([program.step, floor.step])
        scaled = [seconds * evaluations / steps for seconds in bare]
        label = f"{name} {precision}, {case}, against the bare network"
        row = compared(label, mine, scaled, work=batch * evaluations, unit=WORKING_UNIT)
        roof = self._roof(_per_image(name, precision, batch), row, precision)
        return {**self._described(row, program, mine, again), "batch": batch, **roof}

    def _run(self, case: str, program: Program, work: float, unit: str) -> Row:
        """A program's rate."""
        (seconds,), again = self._alternate([program.step])
        return self._described(rated(case, seconds, work=work, unit=unit), program, seconds, again)

    def _alternate(self, steps: Sequence[Callable[[], Any]]) -> tuple[list[list[float]], int]:
        """Seconds of the steps in turn, and what was compiled in the meantime although all had run before."""
        for step in steps:
            step()
        heard = Compilations()
        return alternate(steps, self.scale.rounds, seconds=self.scale.seconds, warm=True), heard.count

    def _described(self, row: Row, program: Program, seconds: Sequence[float], again: int) -> Row:
        facts = {"compile_seconds": program.compile_seconds, "peak_bytes": program.peak_bytes, "recompilations": again}
        return {**row, **spread(seconds), **facts}

    def _roof(self, work: Work, row: Row, precision: str) -> Row:
        """Shares of the ceilings; `row` has a rate, `work` is that of one of its units."""
        if precision not in self.peaks:
            return {}
        found = roofline(work, 1 / row["value"], self.peaks[precision])
        return {"share_of_peak": found.share_of_peak, "share_of_bandwidth": found.share_of_bandwidth}


def _products(left: jax.Array, right: jax.Array) -> jax.Array:
    """Several products in one program, so that starting it does not count."""
    return jax.lax.fori_loop(0, _PRODUCTS, lambda _, product: left @ product, right)


def _per_image(name: str, precision: str, batch: int) -> Work:
    """What value and gradient must do for one of so many images."""
    return network_work(abstract_classifier(name, precision), batch) * (1 / batch)


def random_boxes(count: int, boxes: int, side: int) -> ProposalBatch:
    """Boxes anywhere in images of this side; the first quarter is salient."""
    random = np.random.default_rng(0)
    sides = random.integers(20, 4 * side // 5, (count, boxes, 2))
    corners = random.integers(0, side - sides)
    return ProposalBatch(
        boxes=np.concatenate([corners, sides], axis=2).astype(np.int32),
        valid=np.ones((count, boxes), bool),
        salient=np.tile(np.arange(boxes) < max(1, boxes // _SALIENT_SHARE), (count, 1)),
    )


def _described_images(proposals: ProposalBatch, count: int) -> Described:
    """Boxes with random descriptors of HOG's length."""
    from vissum_jax.matching.features import DIMENSIONS

    rows = np.arange(count) % len(proposals.boxes)
    descriptors = jax.random.normal(jax.random.key(1), (count, proposals.boxes.shape[1], DIMENSIONS))
    return Described(jnp.asarray(proposals.boxes[rows]), jnp.asarray(proposals.valid[rows]), descriptors)
