"""``vissum run``: from a folder of photographs to a report."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

import tyro

from vissum_jax.cli.errors import DONE, FAILED, check_batch_size, running, user_mistakes
from vissum_jax.cli.options import Flag, optional
from vissum_jax.cli.output import print_json, print_outcome
from vissum_jax.cli.progress import make_progress
from vissum_jax.cli.stopping import Stop, stopping
from vissum_jax.cli.weights import have_default_weights
from vissum_jax.cli.worker import require_ray, say_left, work_in_groups, work_on_ray
from vissum_jax.runs.local import DeviceGroup, apart, divide


def run(
    images: Annotated[str | None, tyro.conf.Positional, optional("IMAGES")] = None,
    /,
    *,
    out: Annotated[str, tyro.conf.arg(metavar="RUN")],
    model: Annotated[str | None, optional("NAME")] = None,
    weights: Annotated[str | None, optional("FILE")] = None,
    class_names: Annotated[str | None, optional("FILE")] = None,
    precision: Annotated[str | None, optional("TYPE")] = None,
    preset: Annotated[str | None, optional("NAME")] = None,
    classes: Annotated[str | None, optional("A,B,..")] = None,
    limit: Annotated[int | None, optional("N")] = None,
    batch_size: Annotated[int | None, optional("N")] = None,
    shard_size: Annotated[int | None, optional("N")] = None,
    workers: Annotated[int | None, optional("N")] = None,
    engine: Annotated[Literal["local", "ray"], optional("ENGINE")] = "local",
    ray_address: Annotated[str | None, optional("ADDRESS")] = None,
    keep_mispredicted: Flag = False,
    no_preflight: Flag = False,
    config: Annotated[Path | None, optional("FILE")] = None,
    json: Flag = False,
) -> int:
    """Find the visual parts a network relies on, class by class, and write a report.

    For instance:
      vissum run photos --model efficientnet-lite0 --out runs/photos
      vissum run photos --model googlenet-bvlc --weights bvlc.npz --classes robin,oboe --limit 50 --out runs/two

    The same command goes on where it was stopped, and may be given on several hosts at once. SIGTERM lets it finish
    what it is at; then it says what is left and exits with 0. Every figure behind the report is in RUN as Parquet.

    Args:
        images: Folder of class folders, named by class name, WordNet id or index, or by a labels.csv beside them;
            or tfds:NAME/SPLIT, or webdataset:PATTERN of tar files.
        out: Folder of the run, s3://bucket/run or gs://bucket/run; it is made, or continued.
        model: Name of the network, or package.module:function.
        weights: Weight file of the network; by default that of an installed package, or the official one, which
            is downloaded.
        class_names: Names of the network's classes, if the weight file holds none: one a line, or JSON.
        precision: Number type of the network: float32 (default) or bfloat16 (faster on GPU and TPU).
        preset: How masks are found: compact (default), paper, authors or iebb.
        classes: Class folders or labels to take, separated by commas: names, WordNet ids or indices. All by default.
        limit: Most images of a class.
        batch_size: Images searched at once; by default what suits the device.
        shard_size: Images of a part of the masks, 64 by default (1024 on an accelerator): so many are computed
            again at most after a crash.
        workers: Processes that share the work, each with its share of this machine's GPUs or processor cores; one by
            default. On a Ray cluster one for each of its GPUs by default.
        engine: Where workers run: local (default), or ray for a Ray cluster whose nodes see IMAGES and RUN.
        ray_address: Address of the Ray cluster; by default the one that RAY_ADDRESS names, or a new one here.
        keep_mispredicted: Also explain images that the network answers wrongly.
        no_preflight: Do not first compare the network's answers with the labels of up to 64 images.
        config: TOML file with any of these settings and tables for the stages (see configs/).
        json: Print one JSON object instead of a table.
    """
    began = time.perf_counter()
    with stopping() as stop:
        with user_mistakes():
            from vissum_jax import pipeline

            check_batch_size(batch_size)
            if workers is not None and workers < 1:
                raise ValueError(f"`workers` must be at least 1, got {workers}.")
            if engine == "ray":
                require_ray()
            elif ray_address is not None:
                raise ValueError("--ray-address is of use with --engine ray alone.")
            settings: dict[str, Any] = pipeline.read_settings(config) if config else {}
            tables = {name: settings.pop(name) for name in list(settings) if isinstance(settings[name], dict)}
            given = {
                "images": images,
                "model": model,
                "weights": weights,
                "class_names_file": class_names,
                "precision": precision,
                "preset": preset,
                "classes": tuple(name.strip() for name in classes.split(",")) if classes is not None else None,
                "limit": limit,
                "keep_mispredicted": keep_mispredicted or None,
            }
            settings |= {name: value for name, value in given.items() if value is not None}
            for name, option in (("images", "IMAGES"), ("model", "--model")):
                if name not in settings:
                    raise ValueError(f"{option} is missing; give it on the command line or in the configuration.")
            request = pipeline.RunConfig(**settings, overrides=tables)
            have_default_weights(request.model, request.weights)
            groups: list[DeviceGroup] = []
            alone = engine == "local" and workers in (None, 1)
            if alone:
                started = prepare(request, out, shard_size, not no_preflight)
            else:
                here = workers if engine == "local" else None
                groups = apart(_prepare_apart, request, out, shard_size, not no_preflight, here)
        if not alone:
            with running():
                if engine == "ray":
                    left = work_on_ray(out, workers, ray_address, batch_size=batch_size, stop=stop)
                else:
                    left = work_in_groups(out, groups, batch_size=batch_size, stop=stop)
            if left:
                return say_left(out, left, json=json)
            with user_mistakes():
                started = pipeline.open_run(out)
            return conclude(started, json=json, began=began)
        return finish(started, batch_size=batch_size, json=json, began=began, stop=stop)


def prepare(request: Any, out: str, shard_size: int | None, preflight: bool) -> Any:
    """Start or continue a run, and check its labels."""
    from vissum_jax import pipeline

    started = pipeline.start_run(request, out, shard_size=shard_size)
    if preflight:
        pipeline.preflight(started)
    return started


def _prepare_apart(
    request: Any, out: str, shard_size: int | None, preflight: bool, workers: int | None
) -> list[DeviceGroup]:
    """Do so in a process of its own, which gives the devices of each worker back to them when it ends.

    Returns:
        The devices of each worker on this machine; none if no number of them is given.
    """
    import jax

    with stopping():  # a scheduler's signal to all processes does not end this one halfway
        here = jax.default_backend(), jax.local_device_count()
        groups = [] if workers is None else divide(workers, platform=here[0], devices=here[1])
        prepare(request, out, shard_size, preflight)
    return groups


def finish(
    started: Any,
    *,
    batch_size: int | None,
    json: bool,
    began: float,
    stop: Stop,
    facts: Mapping[str, Any] = MappingProxyType({}),
) -> int:
    """Work through all stages of an open run and print what came out or is left; JSON gets other facts too."""
    from vissum_jax.pipeline.worker import work

    with running():
        left = work(started, make_progress(), batch_size=batch_size, stop=stop)
    if left:
        return say_left(str(started.storage), left, json=json)
    return conclude(started, json=json, began=began, facts=facts)


def conclude(started: Any, *, json: bool, began: float, facts: Mapping[str, Any] = MappingProxyType({})) -> int:
    """Write the report of an open run whose summaries are done, and print what came out."""
    from vissum_jax import pipeline
    from vissum_jax.pipeline.publish import publish_report
    from vissum_jax.runs.log import peak_memory

    with running():
        page = publish_report(started, make_progress())
        result = pipeline.outcome(started)
    if json:
        print_json(
            {
                "run": str(started.storage),
                "report": page,
                **facts,
                **result.plain(),
                "seconds": round(time.perf_counter() - began, 1),
                "peak_memory_bytes": peak_memory(),
            }
        )
    else:
        print_outcome(result)
        print(f"Report: {page}")
    return FAILED if result.failed else DONE
