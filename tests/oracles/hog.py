"""HOG one pixel at a time, in float64."""

import numpy as np


def hog(image, cell=8, clip=0.2, epsilon=1e-4):
    """31 channels of the inner cells of an image (h, w, 3) in [0, 255]."""
    image = np.asarray(image, dtype=np.float64)
    height, width, _ = image.shape
    rows, columns = height // cell, width // cell
    histogram = np.zeros((rows, columns, 18))
    axes = [(np.cos(k * np.pi / 9), np.sin(k * np.pi / 9)) for k in range(9)]
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            gradients = []
            for c in range(3):
                gx = image[y, x + 1, c] - image[y, x - 1, c]
                gy = image[y + 1, x, c] - image[y - 1, x, c]
                gradients.append((gx * gx + gy * gy, gx, gy))
            square, gx, gy = max(gradients, key=lambda g: g[0])
            projections = [gx * ax + gy * ay for ax, ay in axes]
            projections += [-p for p in projections]
            orientation = int(np.argmax(projections))
            cell_y, cell_x = (y + 0.5) / cell - 0.5, (x + 0.5) / cell - 0.5
            for r in (int(np.floor(cell_y)), int(np.floor(cell_y)) + 1):
                for c in (int(np.floor(cell_x)), int(np.floor(cell_x)) + 1):
                    if 0 <= r < rows and 0 <= c < columns:
                        share = (1 - abs(cell_y - r)) * (1 - abs(cell_x - c))
                        histogram[r, c, orientation] += share * np.sqrt(square)
    energy = ((histogram[..., :9] + histogram[..., 9:]) ** 2).sum(-1)
    out = np.zeros((rows - 2, columns - 2, 31))
    for r in range(1, rows - 1):
        for c in range(1, columns - 1):
            signed = histogram[r, c]
            unsigned = signed[:9] + signed[9:]
            for k, (up, left) in enumerate([(r - 1, c - 1), (r - 1, c), (r, c - 1), (r, c)]):
                n = 1 / np.sqrt(energy[up : up + 2, left : left + 2].sum() + epsilon)
                out[r - 1, c - 1, :18] += 0.5 * np.minimum(signed * n, clip)
                out[r - 1, c - 1, 18:27] += 0.5 * np.minimum(unsigned * n, clip)
                out[r - 1, c - 1, 27 + k] = 0.2357 * np.minimum(signed * n, clip).sum()
    return out
