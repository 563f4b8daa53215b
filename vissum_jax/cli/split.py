"""``vissum split``: which photographs are for what."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from vissum_jax.cli.errors import DONE, running, user_mistakes
from vissum_jax.cli.groups import group
from vissum_jax.cli.options import Flag, optional
from vissum_jax.cli.output import print_json

Images = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="IMAGES")]
Lists = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="LISTS")]
Out = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]


def make(
    images: Images,
    lists: Lists,
    /,
    *,
    shares: str = "summaries=0.5,train=0.25,test=0.25",
    seed: int = 0,
    exclude: Annotated[str | None, optional("A,B,..")] = None,
    json: Flag = False,
) -> int:
    """Divide the photographs of each class folder, and write a list of names for each part.

    A list is a text file: names relative to IMAGES, one a line; lines that begin with # are comments. Photographs are
    ordered by a hash of the seed and their content, so that the same ones are always divided alike, and copies of one
    file are never apart.

    For instance:
      vissum split make photos splits/photos --shares summaries=0.5,train=0.25,test=0.25

    Args:
        images: Folder of class folders.
        lists: Folder for the lists, NAME.txt each.
        shares: Name and share of each list.
        seed: Of the order.
        exclude: Class folders to leave out, separated by commas.
        json: Print one JSON object.
    """
    with user_mistakes():
        from vissum_jax.pipeline import splits

        left_out = [] if exclude is None else [name.strip() for name in exclude.split(",")]
        parts = splits.make_split(images, splits.parse_shares(shares), seed=seed, exclude=left_out)
    about = f"vissum split make --shares {shares} --seed {seed}{f' --exclude {exclude}' if exclude else ''}"
    with running():
        splits.write_split(parts, lists, about=about)
    return _say(json, lists, parts)


def link(images: Images, lists: Lists, out: Out, /, *, json: Flag = False) -> int:
    """Make a folder of class folders for each list, so that `vissum run` takes it: OUT/NAME.

    Files are hard links where the file system allows, else copies.

    For instance:
      vissum split link photos splits/photos parts
      vissum run parts/summaries --model efficientnet-lite0 --out runs/photos

    Args:
        images: Folder of class folders.
        lists: Folder of lists.
        out: Folder to make; an earlier one of this command is replaced.
        json: Print one JSON object.
    """
    with user_mistakes():
        from vissum_jax.pipeline import splits

        parts = splits.read_split(lists)
        with running():
            splits.link_split(images, parts, out)
    return _say(json, out, parts)


def _say(json: bool, place: Path, parts: dict[str, tuple[str, ...]]) -> int:
    counts = {name: len(images) for name, images in parts.items()}
    if json:
        print_json({"out": str(place), "photographs": counts})
    else:
        for name, count in counts.items():
            print(f"{place / name}: {count} photographs")
    return DONE


split = group("Divide photographs into those for summaries, for training and for tests.", {"make": make, "link": link})
