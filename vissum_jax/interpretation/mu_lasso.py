"""Least squares in l1 balls, for all classes from one Gram matrix: the mu-lasso (VE section 3.1, equation 1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int


@dataclass(frozen=True, kw_only=True)
class MuLassoConfig:
    """Constants of the selection.

    Attributes:
        mu: Bound on each class's ||w_j||_1: the paper's mu, 10, and 5 for an8Flower.
        tolerance: The duality gap at which a class is done, as a share of ||l_j||^2, the objective at w = 0.
        candidates: Filters that join a class's working set in a round: those that its gradient favours most.
        ridge: Added to the diagonal of systems that are solved, as a share of its mean, because filters that respond
            alike make them singular. It steers where steps go; the gap is that of the objective without it.
        max_rounds: Most rounds of a class.
    """

    mu: float = 10.0
    tolerance: float = 1e-8
    candidates: int = 50
    ridge: float = 1e-13
    max_rounds: int = 1000

    def __post_init__(self) -> None:
        """Check ranges."""
        if not self.mu > 0:
            raise ValueError(f"`mu` must be positive, got {self.mu}.")
        for name in ("tolerance", "ridge"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be in (0, 1), got {getattr(self, name)}.")
        for name in ("candidates", "max_rounds"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, got {getattr(self, name)}.")


class Moments:
    """X X', X L' and the class sizes, summed up batch by batch: all that the mu-lasso needs of the images.

    Memory: columns^2 + columns * classes numbers of 8 bytes, however many images: 0.8 GB + 0.08 GB for 10,000 filters
    and 1000 classes; while a batch is added, beside it the batch in float64 and one block of rows.
    """

    _BLOCK = 1024  # rows of X X' that are worked on at once

    def __init__(self, columns: int, classes: int) -> None:
        """Start with no image."""
        self.gram: Float[np.ndarray, "columns columns"] = np.zeros((columns, columns))
        self.correlation: Float[np.ndarray, "columns classes"] = np.zeros((columns, classes))
        self.counts: Int[np.ndarray, " classes"] = np.zeros(classes, np.int64)

    def add(self, responses: Float[np.ndarray, "b columns"], labels: Int[np.ndarray, " b"]) -> None:
        """Add a batch.

        Args:
            responses: Of each image, of any float type; summed in float64.
            labels: Position of each image's class.

        Raises:
            ValueError: If a response is not finite, or a label is out of range.
        """
        if not np.isfinite(responses).all():
            raise ValueError("`responses` must be finite.")
        if len(labels) and not 0 <= labels.min() <= labels.max() < len(self.counts):
            raise ValueError(f"`labels` must be in [0, {len(self.counts)}), got {labels.min()} to {labels.max()}.")
        x = responses.astype(np.float64)
        for start in range(0, len(self.gram), self._BLOCK):
            rows = slice(start, start + self._BLOCK)
            self.gram[rows] += x[:, rows].T @ x
        for label in np.unique(labels):
            self.correlation[:, label] += x[labels == label].sum(0)
        self.counts += np.bincount(labels, minlength=len(self.counts))


class MuLassoResult(NamedTuple):
    """The solution, and how good it is.

    Attributes:
        weights: W.
        objective: ||X'w_j - l_j||^2 of each class.
        gap: At most so much above the minimum is each objective: the Frank-Wolfe duality gap.
        converged: Whether the gap is within the tolerance.
        rounds: Rounds of each class.
    """

    weights: Float[np.ndarray, "columns classes"]
    objective: Float[np.ndarray, " classes"]
    gap: Float[np.ndarray, " classes"]
    converged: Bool[np.ndarray, " classes"]
    rounds: Int[np.ndarray, " classes"]


def mu_lasso(
    moments: Moments, config: MuLassoConfig, *, progress: Callable[[int], object] | None = None
) -> MuLassoResult:
    """Find the weights by which filter responses predict each class, few of them.

        W = argmin ||X'W - L'||_F^2   subject to   ||w_j||_1 <= mu for each class j

    with X the responses (filters x images) and L the images' classes, one-hot. Classes do not depend on each other.
    Solved by active sets: responses are so collinear that descent methods crawl, but the solutions have tens to
    hundreds of nonzeros, among which the optimum is the solution of a small linear system. The gap tells when to stop,
    whatever rounding did on the way.

    Args:
        moments: Of all images.
        config: mu and accuracy.
        progress: Is told of each class that is done.

    Returns:
        Weights with ||w_j||_1 <= mu up to rounding, and exact zeros, with their duality gaps.

    Paper: VE equation 1. The duality gap is Jaggi's (2013).
    """
    columns, classes = moments.correlation.shape
    weights = np.zeros((columns, classes))
    objective, gap = np.zeros((2, classes))
    rounds = np.zeros(classes, np.int64)
    for number in range(classes):
        problem = _Problem(moments.gram, moments.correlation[:, number], float(moments.counts[number]), config)
        weights[:, number], objective[number], gap[number], rounds[number] = problem.solve()
        if progress is not None:
            progress(1)
    return MuLassoResult(weights, objective, gap, gap <= config.tolerance * moments.counts, rounds)


class _Problem(NamedTuple):
    """min w'Gw - 2 b'w + n subject to ||w||_1 <= mu."""

    gram: Float[np.ndarray, "columns columns"]
    target: Float[np.ndarray, " columns"]
    constant: float
    config: MuLassoConfig

    def solve(self) -> tuple[Float[np.ndarray, " columns"], float, float, int]:
        """Weights, objective, gap and rounds.

        Each round solves the problem on a working set of filters, then lets in those among all filters that the
        gradient favours most.
        """
        config = self.config
        enough = config.tolerance * self.constant
        working = np.zeros(0, np.int64)
        weights = np.zeros(0)
        rounds = 0
        while True:
            used = working[weights != 0]
            product = weights[weights != 0] @ self.gram[used]
            gradient = 2 * (product - self.target)
            inner = float(gradient[working] @ weights)
            gap = max(inner + config.mu * float(np.abs(gradient).max()), 0.0)
            if gap <= enough or rounds == config.max_rounds:
                break
            outside = np.abs(gradient)
            outside[working] = -1.0
            if len(working) and outside.max() <= np.abs(gradient[working]).max():
                break  # what is left of the gap is rounding: no filter outside would narrow it
            new = np.argsort(-outside, kind="stable")[: config.candidates]
            new = new[outside[new] > 0]
            kept = weights != 0
            working = np.concatenate([working[kept], new])
            active = _ActiveSet(self.gram[np.ix_(working, working)], self.target[working], config)
            weights = active.solve(np.concatenate([weights[kept], np.zeros(len(new))]), 0.1 * enough)
            rounds += 1
        found = np.zeros(len(self.target))
        found[working] = weights
        length = np.abs(found).sum()
        if length > config.mu:
            found *= config.mu / length
        objective = self.constant + float(weights @ (product[working] - 2 * self.target[working]))
        return found, objective, gap, rounds


class _ActiveSet:
    """The problem on a working set, by active sets in the manner of Lawson and Hanson (1974).

    The l1 ball is a simplex in the numbers s_i w_i >= 0, s_i the sign of a weight, and the slack mu - sum |w_i| >= 0.
    Some of these are free, the others 0. The optimum over the free ones alone, signs and bounds left aside, is a linear
    system; the weights move towards it until one reaches 0 and is free no longer; at the optimum the one that the
    gradient favours most becomes free. Every step lowers the objective, so no set of free ones comes twice.
    """

    _MOST_STEPS = 100  # for each filter of the set: far from what is ever needed, but rounding has no proof
    _ROUNDING = 1e-12  # a slack below this share of mu is what sums of weights leave

    def __init__(self, gram: Float[np.ndarray, "m m"], target: Float[np.ndarray, " m"], config: MuLassoConfig) -> None:
        self.gram, self.target, self.config = gram, target, config

    def solve(self, weights: Float[np.ndarray, " m"], enough: float) -> Float[np.ndarray, " m"]:
        """Weights with a gap of at most `enough` on the working set, from others that are in the ball."""
        mu = self.config.mu
        signs = np.sign(weights)
        slack = max(mu - float(np.abs(weights).sum()), 0.0)
        loose = slack > self._ROUNDING * mu
        # Which one should be free next can only be told at the optimum over those that are.
        weights, signs, slack, loose = self._descend(weights, signs, slack, loose)
        refused = np.zeros(len(weights), bool)
        for _ in range(self._MOST_STEPS * len(weights)):
            gradient = 2 * (self.gram @ weights - self.target)
            size = np.abs(gradient)
            if gradient @ weights + mu * size.max() <= enough:
                break
            free = signs != 0
            multiplier = 0.0 if loose else float(-(signs * gradient)[free].mean())
            excess = np.where(free | refused, 0.0, size - multiplier)
            entering = int(np.argmax(excess))
            if not loose and -multiplier > excess[entering]:
                loose = True
            elif excess[entering] > 0:
                signs[entering] = -np.sign(gradient[entering])
            else:
                break  # optimal as far as rounding can tell
            before = weights
            weights, signs, slack, loose = self._descend(weights, signs, slack, loose)
            # Rounding may send one back at once that should enter: the next best has its turn.
            stuck = np.array_equal(before, weights)
            refused = refused | (np.arange(len(weights)) == entering) if stuck else np.zeros_like(refused)
        return weights

    def _descend(
        self, weights: Float[np.ndarray, " m"], signs: Float[np.ndarray, " m"], slack: float, loose: bool
    ) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"], float, bool]:
        """Move to the optimum over the free ones; those that reach 0 on the way are free no longer."""
        mu = self.config.mu
        weights, signs = weights.copy(), signs.copy()
        while signs.any():
            free = np.flatnonzero(signs)
            amounts = np.append(signs[free] * weights[free], slack)
            optimum = self._optimum(free, signs[free], loose)
            optimum = np.append(optimum, mu - optimum.sum() if loose else 0.0)
            blocked = optimum <= 0
            blocked[-1] &= loose
            if not blocked.any():
                share = 1.0
                leaving = np.zeros(len(optimum), bool)
            else:
                ratios = np.where(blocked, amounts / np.where(blocked, amounts - optimum, 1.0), np.inf)
                share = ratios.min()
                leaving = ratios <= share
            amounts = np.where(leaving, 0.0, amounts + share * (optimum - amounts))
            weights[free] = signs[free] * amounts[:-1]
            signs[free[leaving[:-1]]] = 0.0
            slack, loose = (float(amounts[-1]) if loose else 0.0), loose and not leaving[-1]
            if not blocked.any():
                break
        return weights, signs, slack, loose

    def _optimum(
        self, free: Int[np.ndarray, " k"], signs: Float[np.ndarray, " k"], loose: bool
    ) -> Float[np.ndarray, " k"]:
        """The optimum of s_i w_i over the free ones: anywhere, or where they add up to mu."""
        count = len(free)
        system = self.gram[np.ix_(free, free)] * np.outer(signs, signs)
        scale = np.trace(system) / count
        system[np.diag_indices(count)] += self.config.ridge * scale
        right = signs * self.target[free]
        if loose:
            return np.linalg.solve(system, right)
        bordered = np.full((count + 1, count + 1), scale)
        bordered[:count, :count], bordered[count, count] = system, 0.0
        return np.linalg.solve(bordered, np.append(right, scale * self.config.mu))[:count]
