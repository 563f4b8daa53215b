"""Networks whose evidence is known by construction, and attribution methods by their definitions in NumPy."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np

from vissum_jax.types import Classifier, ClassifierSpec, Outputs

SIDE = 32


def classifier_of(apply, params, *, classes, side=SIDE, name="planted"):
    """A classifier from an apply function."""
    spec = ClassifierSpec(
        name=name,
        input_height=side,
        input_width=side,
        resize_short_side=side,
        class_names=tuple(f"class {number}" for number in range(classes)),
        feature_endpoint="pooled",
    )
    return Classifier(params=params, apply=apply, spec=spec)


@functools.cache  # every new `apply` is compiled anew
def colour_net(activation=jax.nn.relu, *, gain=120.0, pool=4, compiled=True):
    """Detectors of red, green and blue, a local and a global average, one linear layer: CAM is exact for it.

    Class k is the k-th colour; the fourth has a constant score.
    """

    def apply(params, images):
        detected = activation(images @ params["detect"] - 0.2)
        b, h, w, c = detected.shape
        features = detected.reshape(b, h // pool, pool, w // pool, pool, c).mean((2, 4))
        pooled = features.mean((1, 2))
        # "between" comes last by computation, "features" in the order of names.
        return Outputs(
            logits=pooled @ params["head"] + params["bias"],
            endpoints={"zero": detected, "between": features, "pooled": pooled},
        )

    params = {
        "detect": jnp.asarray(1.5 * np.eye(3) - 0.5, jnp.float32),
        "head": jnp.asarray(np.eye(3, 4) * gain, jnp.float32),
        "bias": jnp.asarray([0.0, 0.0, 0.0, 3.0], jnp.float32),
    }
    return classifier_of(jax.jit(apply) if compiled else apply, params, classes=4)


def colour_picture(class_index, seed, side=SIDE):
    """A grey noise picture with a square of the class's colour and a duller one of another; where its own is."""
    random = np.random.default_rng([class_index, seed])
    picture = random.normal(120, 5, (side, side, 3))
    own = np.zeros((side, side), bool)
    corners = random.permutation(4)[:2]
    for colour, corner in zip((class_index, (class_index + 1) % 3), corners, strict=True):
        size, top, left = side // 3, side // 2 * (corner // 2) + 2, side // 2 * (corner % 2) + 2
        square = (slice(top, top + size), slice(left, left + size))
        picture[square] = 40
        picture[(*square, colour)] = 220 if colour == class_index else 150
        if colour == class_index:
            own[square] = True
    return np.clip(picture + random.normal(0, 3, picture.shape), 0, 255).astype(np.uint8), own


def linear_net(weights, *, floor=0.1):
    """Class 0 has the probability floor + sum of weights * image, exactly; class 1 the rest."""

    def apply(params, images):
        q = floor + jnp.einsum("bhwc,hwc->b", images, params["weights"], precision="highest")
        return Outputs(logits=jnp.log(jnp.stack([q, 1 - q], axis=1)), endpoints={"pooled": q[:, None]})

    return classifier_of(apply, {"weights": jnp.asarray(weights, jnp.float32)}, classes=2, side=weights.shape[0])


def upsampling(size, grid, shift):
    """RISE's rows: linear interpolation from cell centres to grid + 1 cells' pixels, of which `size` from `shift`."""
    length = (grid + 1) * -(-size // grid)
    places = (np.arange(length) + 0.5) * grid / length - 0.5
    line = np.stack([np.interp(places, np.arange(grid), unit) for unit in np.eye(grid)], axis=1)
    return line[shift : shift + size]


def rise_expectation(image, weights, floor, *, grid, keep, colour):
    """The limit of RISE for `linear_net`: sum over pairs of pixels of E[M(u) M(v)], averaged over all shifts."""
    height, width, _ = image.shape
    along = []
    for size in (height, width):
        lines = [upsampling(size, grid, shift) for shift in range(-(-size // grid) + 1)]
        along.append(np.mean([line @ line.T for line in lines], axis=0))
    constant = floor + np.sum(weights * colour)
    share = np.sum(weights * (image - colour), axis=-1)  # what a pixel adds when it is kept
    expected = np.zeros((height, width))
    for y, x in itertools.product(range(height), range(width)):
        covariance = keep * (1 - keep) * np.outer(along[0][y], along[1][x])
        expected[y, x] = constant * keep + np.sum(share * (keep**2 + covariance))
    return expected / keep


def smooth_mask(cells, height, width, *, step, sigma, temperature, reach):
    """Smooth max-convolution, pixel by pixel over the cells in reach."""
    mask = np.zeros((height, width))
    for y, x in itertools.product(range(height), range(width)):
        painted = []
        for i, j in itertools.product(range(cells.shape[0]), range(cells.shape[1])):
            if max(abs(i - y // step), abs(j - x // step)) > reach:
                continue
            distance = np.hypot(y - (i + 0.5) * step + 0.5, x - (j + 0.5) * step + 0.5)
            painted.append(cells[i, j] * np.exp(-2 * max(0.0, distance / sigma - 0.5) ** 2))
        share = np.exp(np.array(painted) / temperature)
        mask[y, x] = np.sum(painted * share) / np.sum(share)
    return mask


def area_loss(mask, area):
    """Squared distance of the sorted mask from the step of the right area."""
    zeros = mask.size - round(area * mask.size)
    return np.mean((np.sort(mask.ravel()) - (np.arange(mask.size) >= zeros)) ** 2)


def most_important(importance, count):
    """The `count` largest values, nearest to the centre first where equal."""
    height, width = importance.shape
    pixels = sorted(
        itertools.product(range(height), range(width)),
        key=lambda u: (-importance[u], (u[0] - (height - 1) / 2) ** 2 + (u[1] - (width - 1) / 2) ** 2, u),
    )
    chosen = np.zeros((height, width), bool)
    for pixel in pixels[:count]:
        chosen[pixel] = True
    return chosen


def share_inside(importance, truth, area):
    """Share of the map's top pixels that lie on the truth."""
    chosen = most_important(importance, round(area * importance.size))
    return truth[chosen].mean()
