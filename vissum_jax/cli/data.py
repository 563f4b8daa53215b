"""``vissum data an8flower``: data sets that are made here."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path
from typing import Annotated

import tyro

from vissum_jax.cli.errors import DONE, running, user_mistakes
from vissum_jax.cli.groups import group
from vissum_jax.cli.options import Flag, optional
from vissum_jax.cli.output import print_json
from vissum_jax.cli.progress import make_progress


def an8flower(
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")],
    /,
    *,
    variant: Annotated[str, tyro.conf.arg(metavar="NAME")],
    seed: int = 0,
    images_per_class: int = 1000,
    size: int = 300,
    processes: Annotated[int | None, optional("N")] = None,
    json: Flag = False,
) -> int:
    """Render flowers in pots whose classes differ only in the colour of known parts, with the truth of every pixel.

    Variants: in single-6c the petals have one of six colours; in double-12c the petals have one of six and the pot one
    of two, so that a class needs both; in part-2c the petals or the pot are red, so that not the colour but its place
    makes the class. Everything else is neutral and varies: pose, shapes, light, background, textures.

    For instance:
      vissum data an8flower flowers --variant single-6c --seed 1
      vissum data an8flower few --variant part-2c --images-per-class 20 --size 224 --json
      vissum split link flowers/images flowers/splits parts

    OUT/images/CLASS/NUMBER.png is what vissum run takes, with a classifier of these class names. Of the same names are
    OUT/truth (values are part labels: 0 background, then petals, core, stem, leaves, pot) and OUT/discriminative (the
    parts that make the class, white). OUT/splits has lists for train, val and test (70, 10 and 20 %),
    OUT/annotations the same in COCO's format. The same command goes on where it was interrupted.

    Args:
        out: Folder to make: new, empty, or begun by the same command.
        variant: single-6c, double-12c or part-2c.
        seed: The same seed gives the same bytes, whatever the number of processes.
        images_per_class: Pictures of each class.
        size: Side of the square pictures in pixels.
        processes: How many render at once. One for each processor core by default.
        json: Print one JSON object instead of text.
    """
    began = time.perf_counter()
    with user_mistakes():
        from vissum_jax.data.an8flower import FlowerConfig
        from vissum_jax.pipeline import flowers

        if processes is not None and processes < 1:
            raise ValueError(f"--processes must be at least 1, got {processes}.")
        settings = flowers.FlowerSettings(
            variant=variant, images_per_class=images_per_class, seed=seed, flowers=FlowerConfig(size=size)
        )
        flowers.start_flowers(settings, out)
    with running():
        counts = flowers.make_flowers(settings, out, make_progress(), processes=processes or _cores())
    seconds = round(time.perf_counter() - began, 1)
    if json:
        what = {"out": str(out), "variant": variant, "seed": seed}
        print_json({**what, **dataclasses.asdict(counts), "seconds": seconds})
        return DONE
    print(f"{out}: {len(counts.classes)} classes of {variant}: {', '.join(counts.classes)}")
    for split, images in counts.images.items():
        print(f"  {split:<5} {images} pictures, {counts.annotations[split]} annotated parts")
    print(f"Done in {seconds:.0f} s.")
    return DONE


def _cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


data = group("Make data sets whose truth is known.", {"an8flower": an8flower})
