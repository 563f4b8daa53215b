"""Proposal Flow with loops over boxes, in float64.

An image is a pair (boxes, whitened descriptors) without padding.
"""

import math

import numpy as np


def similarity(first, second):
    """max(0, <f_a, f_b>)."""
    return np.array([[max(0.0, float(np.dot(f, g))) for g in second[1]] for f in first[1]])


def gate(first, second):
    """Whether the aspect ratios differ by less than a factor of two."""
    return np.array([[0.5 < (d / e) / (b / c) < 2 for _, _, d, e in second[0]] for _, _, b, c in first[0]])


def nam(first, second):
    """Similarity behind the gate."""
    return similarity(first, second) * gate(first, second)


def placement(box):
    """Centre and area."""
    x, y, w, h = (float(v) for v in box)
    return x + w / 2, y + h / 2, w * h


def offset(a, b):
    """(dx, dy, ds) of a candidate."""
    xa, ya, area_a = placement(a)
    xb, yb, area_b = placement(b)
    return np.array([xa - xb, ya - yb, area_a / area_b])


def overlap(a, b):
    """Whether two boxes share a pixel."""
    return min(a[0] + a[2], b[0] + b[2]) > max(a[0], b[0]) and min(a[1] + a[3], b[1] + b[3]) > max(a[1], b[1])


def median_offset(offsets, steps=20, epsilon=(0.5, 0.5, 0.05)):
    """Twenty reweighting steps from (1, 1, 1), each coordinate on its own."""
    median = np.ones(3)
    for _ in range(steps):
        for k in range(3):
            weights = [1 / (abs(o[k] - median[k]) + epsilon[k]) for o in offsets]
            median[k] = sum(w * o[k] for w, o in zip(weights, offsets, strict=True)) / sum(weights)
    return median


def lom(first, second):
    """Local offset matching."""
    scores = nam(first, second)
    boxes, others = first[0], second[0]
    confidence = scores.max(axis=1)
    offsets = [offset(box, others[k]) for box, k in zip(boxes, scores.argmax(axis=1), strict=True)]
    out = np.zeros_like(scores)
    for i, box in enumerate(boxes):
        neighbours = [n for n, other in enumerate(boxes) if overlap(box, other) and confidence[n] > 0]
        if not neighbours:
            continue
        median = median_offset([offsets[n] for n in neighbours])
        support = sum(confidence[n] for n in neighbours) / confidence.sum()
        for b, other in enumerate(others):
            difference = offset(box, other) - median
            out[i, b] = (
                scores[i, b]
                * math.exp(-0.05 * math.hypot(difference[0], difference[1]) - 0.3 * abs(difference[2]))
                * support
            )
    return out


def phm(first, second, height, width):
    """Probabilistic Hough matching."""
    cell = max(math.sqrt(4 * width * height / 8000), 5)
    shape = (math.ceil(2 * height / cell), math.ceil(2 * width / cell), 20)
    scores = similarity(first, second)
    bins = {}
    histogram = np.zeros(shape)
    for a, (xa, ya, wa, ha) in enumerate(first[0].astype(float)):
        corner_x = (width - (xa + wa / 2)) / (wa / 2)
        corner_y = (height - (ya + ha / 2)) / (ha / 2)
        best = {}
        for b, (xb, yb, wb, hb) in enumerate(second[0].astype(float)):
            x = corner_x * wb / 2 + xb + wb / 2
            y = corner_y * hb / 2 + yb + hb / 2
            octaves = math.log2(wb * hb / (wa * ha))
            place = (math.floor(y / cell), math.floor(x / cell), math.floor((octaves + 4) / 0.4))
            if all(0 <= p < s for p, s in zip(place, shape, strict=True)):
                bins[a, b] = place
                best[place] = max(best.get(place, 0.0), scores[a, b])
        for place, value in best.items():
            histogram[place] += value
    taps = np.exp(-0.5 * (np.arange(-2, 3) / 1.062) ** 2)
    kernel = np.einsum("i,j,k->ijk", *[taps / taps.sum()] * 3)
    padded = np.pad(histogram, 2)
    passed = gate(first, second)
    out = np.zeros_like(scores)
    for (a, b), (y, x, s) in bins.items():
        smoothed = (padded[y : y + 5, x : x + 5, s : s + 5] * kernel).sum()
        out[a, b] = passed[a, b] * scores[a, b] * smoothed
    return out
