"""Dense flow with loops over pixels and a dense linear system."""

import numpy as np
from skimage.color import rgb2lab


def paint_flow(boxes, matched, confidence, window):
    """Every pixel asks the boxes that cover it and takes the surest."""
    left, top, width, height = window
    flow = np.full((height, width, 2), np.nan)
    for row in range(height):
        for column in range(width):
            u, v = left + column + 0.5, top + row + 0.5
            best = None
            for (x, y, w, h), (p, q, r, s), sure in zip(boxes, matched, confidence, strict=True):
                if x < u < x + w and y < v < y + h and (best is None or sure > best):
                    best = sure
                    flow[row, column] = p + (u - x) * r / w - u, q + (v - y) * s / h - v
    return flow


def smooth_flow(flow, image, smoothness=20, rounds=2):
    """Normal equations written out entry by entry."""
    height, width = flow.shape[:2]
    lab = rgb2lab(image) / 100
    current = flow
    for _ in range(rounds):
        system = np.zeros((height * width,) * 2)
        right = np.zeros((height * width, 2))
        for y in range(height):
            for x in range(width):
                here = y * width + x
                if np.isfinite(flow[y, x]).all():
                    system[here, here] += 1
                    right[here] = flow[y, x]
                for v, u in ((y, x + 1), (y + 1, x), (y, x - 1), (y - 1, x)):
                    if 0 <= v < height and 0 <= u < width:
                        jump = np.sqrt(((current[y, x] - current[v, u]) ** 2).sum())
                        jump = 0 if np.isnan(jump) else jump
                        colour = np.sqrt(((lab[y, x] - lab[v, u]) ** 2).sum())
                        weight = smoothness * (np.exp(-30 * colour) + 1e-5) * (np.exp(-15 * jump) + 1e-5)
                        system[here, here] += weight
                        system[here, v * width + u] -= weight
        current = np.linalg.solve(system, right).reshape(flow.shape)
    return current
