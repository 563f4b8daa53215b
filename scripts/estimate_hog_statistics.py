"""Estimate the background statistics that whiten HOG descriptors, from folders of natural photographs.

    python scripts/estimate_hog_statistics.py FOLDER.. [--per-folder 20]

Each photograph is resized and cropped as for a network, then shown at the scales at which proposals are
described (a box of 25 px is enlarged 3.2 times, one of 224 px shrunk 2.8 times). Whole photographs, not
random boxes, because a covariance per offset must rest on pairs of cells from all over an image: estimated
within 8 x 8 cells, where the far offsets join opposite borders alone, the covariance has eigenvalues as low
as -0.2, which only a ridge far above its diagonal would mend. The result goes to
`vissum_jax/matching/resources/hog_statistics.npz`.
"""

import argparse
from pathlib import Path

import jax
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from vissum_jax.matching.features import CELLS, HOG
from vissum_jax.matching.whitening import HogStatistics, pack
from vissum_jax.ops.hog import hog
from vissum_jax.ops.resize import crop_and_resize

TARGET = Path(__file__).parents[1] / "vissum_jax" / "matching" / "resources" / "hog_statistics.npz"
SHORT_SIDE, SIDE = 256, 224
WHOLE = np.array([0, 0, SIDE, SIDE], dtype=np.float32)
SCALED_SIDES = (160, 240, 352, 512, 720)
SUFFIXES = (".jpg", ".jpeg", ".png")


def find_photographs(folders: list[Path], per_folder: int) -> list[Path]:
    """At most `per_folder` files, evenly spaced, of every folder below the given ones and of themselves.

    A folder given by name counts in full.
    """
    found = []
    for folder in folders:
        for inner in [folder, *sorted(path for path in folder.rglob("*") if path.is_dir())]:
            files = sorted(path for path in inner.iterdir() if path.suffix.lower() in SUFFIXES)
            chosen = range(len(files))
            if inner != folder and len(files) > per_folder:
                chosen = np.linspace(0, len(files) - 1, per_folder).astype(int)
            found += [files[index] for index in chosen]
    return found


def load(path: Path) -> np.ndarray:
    """RGB, short side `SHORT_SIDE`, centre crop of `SIDE`."""
    with Image.open(path) as file:
        image = ImageOps.exif_transpose(file).convert("RGB")
    scale = SHORT_SIDE / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR)
    left, top = (image.width - SIDE) // 2, (image.height - SIDE) // 2
    return np.asarray(image.crop((left, top, left + SIDE, top + SIDE)))


def accumulate(cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean of a map's channels, and mean product of channels for every offset between two cells."""
    offsets = 2 * CELLS - 1
    rows, columns, channels = cells.shape
    products = np.zeros((offsets, offsets, channels, channels))
    for dy in range(CELLS):
        for dx in range(1 - CELLS, CELLS):
            after = cells[dy:, max(dx, 0) : columns + min(dx, 0)]
            before = cells[: rows - dy, max(-dx, 0) : columns - max(dx, 0)]
            # Row by row: for one product of two such thin matrices, BLAS spends its time on its threads.
            product = np.matmul(after.transpose(0, 2, 1), before).sum(axis=0) / after[..., 0].size
            products[CELLS - 1 + dy, CELLS - 1 + dx] = product
            products[CELLS - 1 - dy, CELLS - 1 - dx] = product.T
    return cells.mean(axis=(0, 1)), products


def main() -> None:
    """Parse, estimate, write, report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--per-folder", type=int, default=20, help="photographs of each inner folder")
    options = parser.parse_args()

    def describe(image, side):
        return hog(crop_and_resize(image, WHOLE, (side, side), height=side, width=side), config=HOG)

    describe = jax.jit(describe, static_argnums=1)
    mean = np.zeros(HOG.channels)
    product = np.zeros((2 * CELLS - 1, 2 * CELLS - 1, HOG.channels, HOG.channels))
    maps = 0
    for path in find_photographs(options.folders, options.per_folder):
        try:
            image = load(path).astype(np.float32)
        except (OSError, UnidentifiedImageError) as error:
            print(f"left out {path}: {error}")
            continue
        for side in SCALED_SIDES:
            one_mean, one_product = accumulate(np.asarray(describe(image, side)))
            mean, product, maps = mean + one_mean, product + one_product, maps + 1
    mean, product = mean / maps, product / maps
    statistics = HogStatistics(mean=mean, covariance=product - mean[:, None] * mean[None])
    TARGET.parent.mkdir(exist_ok=True)
    np.savez_compressed(TARGET, **pack(statistics))
    photographs = maps // len(SCALED_SIDES)
    print(f"{photographs} photographs -> {TARGET} ({TARGET.stat().st_size / 1000:.0f} kB)")


if __name__ == "__main__":
    main()
