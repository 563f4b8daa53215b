"""``vissum features select``: from photographs to the filters that matter for each class (VE section 3.1).

photographs --responses--> responses/ --moments, mu-lasso--> selection.json, weights.npz --check--> features.json
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
import pyarrow as pa
from jaxtyping import Array, Float, Int, UInt8

from vissum_jax.data import Decoded, ImageEntry, UnreadableImage
from vissum_jax.interpretation.mu_lasso import Moments, MuLassoResult, mu_lasso
from vissum_jax.interpretation.responses import responses
from vissum_jax.interpretation.selection import FeatureSelection
from vissum_jax.masks.solve import to_unit
from vissum_jax.pipeline.contenders import in_batches
from vissum_jax.pipeline.features_check import check_selection
from vissum_jax.pipeline.features_run import FOLDER, SCHEMA, SelectRun
from vissum_jax.pipeline.memory import default_batch_size
from vissum_jax.pipeline.photograph_runs import finish_shards
from vissum_jax.pipeline.progress import Progress
from vissum_jax.pipeline.read_ahead import ReadAhead
from vissum_jax.pipeline.splits import order_key
from vissum_jax.runs.store import write_atomically
from vissum_jax.types import Classifier, MaskStatus

VALUES, TABLE = "features.json", "features.md"
_SHOWN = 4  # filters of a class in the table


def select_features(opened: SelectRun, progress: Progress, *, batch_size: int | None = None) -> dict[str, Any]:
    """Take responses, select, check, and write what came out.

    Returns:
        Plain values, as ``features.json`` holds them.

    Raises:
        NotReadyError: If some part of the responses is not done.
    """
    run = opened.run
    if (run.folder / VALUES).is_file():  # written last
        return json.loads((run.folder / VALUES).read_text(encoding="utf-8"))
    size = default_batch_size() if batch_size is None else batch_size
    _response_stage(opened, progress, size)
    rows = opened.rows()
    held_out = _held_out(rows, opened)
    classes = sorted(run.source.classes)
    selection, result, counts = _select(opened, classes, held_out, progress)
    for name, data in selection.encode().items():
        write_atomically(run.folder / name, data)
    if opened.test is None:
        source, entries = run.source, [entry for entry in run.source.entries if entry.image in held_out]
        used = frozenset()
    else:
        source, entries = opened.test, opened.test.entries
        used = frozenset(row["content_sha256"] for row in rows)
    check = check_selection(
        *(run.classifier, selection, source, entries, used, progress),
        draws=opened.request.draws,
        seed=opened.request.seed,
        batch_size=size,
    )
    values = {
        "model": run.classifier.spec.name,
        "weights_sha256": run.classifier.spec.weights_sha256,
        "fingerprint": run.manifest.fingerprint,
        "mu": opened.request.lasso.mu,
        "filters": len(opened.columns),
        "layers": dict(zip(opened.columns.layers, opened.columns.widths, strict=True)),
        "photographs": int(counts.sum()),
        "statuses": dict(Counter(row["status"] for row in rows)),
        "failed": [[row["image"], row["reason"]] for row in rows if row["status"] != MaskStatus.OK],
        "classes": [_class_values(selection, result, counts, number) for number in range(len(classes))],
        "check": check,
    }
    write_atomically(run.folder / TABLE, select_markdown(values).encode("utf-8", "backslashreplace"))
    write_atomically(run.folder / VALUES, json.dumps(values, indent=1, allow_nan=False).encode())
    return values


@partial(jax.jit, static_argnames="layers")
def _look(
    classifier: Classifier, images: UInt8[Array, "b h w 3"], *, layers: tuple[str, ...]
) -> tuple[Float[Array, "b columns"], Int[Array, " b"]]:
    """Responses and answers; compiled together, the network runs once."""
    shown = to_unit(images)
    return responses(classifier, shown, layers=layers), classifier(shown).logits.argmax(1)


def _response_stage(opened: SelectRun, progress: Progress, size: int) -> None:
    """The responses of every photograph, a part a shard."""
    run, shards = opened.run, opened.run.manifest.shards
    layers = opened.columns.layers

    def entries(number: int) -> Sequence[ImageEntry]:
        return run.source.entries[slice(*shards[number])]

    def following(number: int) -> int | None:
        return next((later for later in range(number + 1, len(shards)) if not opened.store.done(later)), None)

    def read(number: int) -> list[Decoded | UnreadableImage]:
        return run.source.read(entries(number), run.classifier.spec, workers=os.cpu_count() or 1)

    with ReadAhead(read, following) as photographs:

        def work(number: int) -> pa.Table:
            decoded = photographs(number)
            images = [each.image for each in decoded if isinstance(each, Decoded)]
            found = iter(())
            if images:
                answers = in_batches(partial(_look, run.classifier, layers=layers), np.stack(images), size=size)
                found = iter(zip(*answers, strict=True))
            rows = []
            for entry, each in zip(entries(number), decoded, strict=True):
                row = {**dataclasses.asdict(entry), "status": MaskStatus.OK.value, "reason": ""}
                if isinstance(each, Decoded):
                    x, predicted = next(found)
                    row |= {"content_sha256": each.content_hash, "predicted_index": int(predicted), "responses": x}
                    if not np.isfinite(x).all():
                        reason = "the network's activations are NaN or infinity"
                        row |= {"status": MaskStatus.NON_FINITE.value, "reason": reason, "responses": None}
                else:
                    row |= {"status": MaskStatus.UNREADABLE.value, "reason": str(each)}
                rows.append(row)
            progress.advance(len(rows))
            return pa.Table.from_pylist(rows, schema=SCHEMA)

        finish_shards(run, opened.store, FOLDER, work, progress)


def _held_out(rows: Sequence[Mapping[str, Any]], opened: SelectRun) -> frozenset[str]:
    """Names of the photographs that only the check sees, by a hash of the seed and their content."""
    request = opened.request
    if request.test is not None:
        return frozenset()
    chosen: set[str] = set()
    for class_index in opened.run.source.classes:
        own = {row["content_sha256"] for row in rows if row["class_index"] == class_index and row["content_sha256"]}
        order = sorted(own, key=partial(order_key, request.seed))
        chosen.update(order[: round(request.holdout * len(order))])
    return frozenset(row["image"] for row in rows if row["content_sha256"] in chosen)


def _select(
    opened: SelectRun, classes: Sequence[int], held_out: frozenset[str], progress: Progress
) -> tuple[FeatureSelection, MuLassoResult, Int[np.ndarray, " classes"]]:
    """The selection, how good it is, and how many photographs of each class it was made from."""
    run = opened.run
    position = {class_index: number for number, class_index in enumerate(classes)}
    moments = Moments(len(opened.columns), len(classes))
    progress.start("moments", len(run.manifest.entries))
    for (start, stop), (rows, x) in zip(run.manifest.shards, opened.parts(), strict=True):
        used = np.array([row["image"] not in held_out for row in rows], bool)
        labels = np.array([position[row["class_index"]] for row in rows], np.int64)
        moments.add(x[used], labels[used])
        progress.advance(stop - start)
    progress.finish()
    progress.start("selection", len(classes))
    result = mu_lasso(moments, opened.request.lasso, progress=progress.advance)
    progress.finish()
    selection = FeatureSelection(
        model=run.classifier.spec.name,
        columns=opened.columns,
        weights=result.weights,
        class_index=np.array(classes, np.int64),
        class_names=tuple(run.source.classes[index] for index in classes),
        mu=opened.request.lasso.mu,
    )
    return selection, result, moments.counts


def _class_values(
    selection: FeatureSelection, result: MuLassoResult, counts: Int[np.ndarray, " classes"], number: int
) -> dict[str, Any]:
    class_index = int(selection.class_index[number])
    relevant = []
    for column in selection.relevant(class_index):
        layer, channel = selection.columns.filter(column)
        weight = float(selection.weights[column, number])
        relevant.append({"column": int(column), "layer": layer, "channel": channel, "weight": weight})
    return {
        "class_index": class_index,
        "class_name": selection.class_names[number],
        "photographs": int(counts[number]),
        "relevant": relevant,
        "norm": float(np.abs(selection.weights[:, number]).sum()),
        "objective": float(result.objective[number]),
        "gap": float(result.gap[number]),
        "converged": bool(result.converged[number]),
    }


def select_markdown(values: Mapping[str, Any]) -> str:
    """What came out, for people."""
    lines = ["| class | photographs | relevant filters | strongest |", "|---|---|---|---|"]
    for each in values["classes"]:
        strongest = ", ".join(
            f"{found['layer']} {found['channel']} ({found['weight']:+.2f})" for found in each["relevant"][:_SHOWN]
        )
        name = each["class_name"].replace("|", "\\|")
        lines.append(f"| {name} | {each['photographs']} | {len(each['relevant'])} | {strongest or '-'} |")
    distinct = {found["column"] for each in values["classes"] for found in each["relevant"]}
    lines += [
        "",
        f"{len(distinct)} of {values['filters']} filters of {values['model']} are relevant; mu {values['mu']:g}.",
    ]
    unfinished = [each["class_name"] for each in values["classes"] if not each["converged"]]
    if unfinished:
        lines.append(f"The gap is wider than was asked for: {', '.join(unfinished)}.")
    check = values["check"]
    if check is None:
        return "\n".join([*lines, "No photographs were held out for a check."])
    lines += [
        "",
        f"Switched off, on {check['photographs']} photographs held out (accuracy {check['accuracy']:.1%}, mean "
        f"probability {check['probability']:.3f}):",
        "",
        "| what is switched off | filters | accuracy lost | random others | ratio | probability lost | random others |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, title in (("own", "the relevant filters of the photograph's class"), ("all", "those of all classes")):
        each = check[name]
        ratio = "-" if each["ratio"] is None else f"{each['ratio']:.1f}"
        lines.append(
            f"| {title} | {each['filters']:.0f} | {each['accuracy_lost']:.1%} | {each['random_accuracy_lost']:.1%} | "
            f"{ratio} | {each['probability_lost']:.3f} | {each['random_probability_lost']:.3f} |"
        )
    return "\n".join(lines)
