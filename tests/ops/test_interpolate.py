import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from vissum_jax.ops.interpolate import bilinear_matrix, gaussian_basis_matrix


@pytest.mark.parametrize(("size", "grid"), [(224, 28), (17, 5), (9, 2), (5, 9), (28, 28)])
def test_bilinear_rows_read_the_two_nearest_values(size, grid):
    values = np.random.default_rng(0).uniform(size=grid)
    expected = []
    for pixel in range(size):
        place = pixel * (grid - 1) / (size - 1)
        left = min(int(np.floor(place)), grid - 2)
        share = place - left
        expected.append((1 - share) * values[left] + share * values[left + 1])
    np.testing.assert_allclose(bilinear_matrix(size, grid) @ values, expected, atol=1e-6)


def test_bilinear_corners_are_aligned():
    matrix = bilinear_matrix(13, 4)
    np.testing.assert_array_equal(matrix[[0, 4, 8, 12]], np.eye(4, dtype=np.float32))


def test_a_line_of_one_pixel_reads_the_first_value():
    np.testing.assert_array_equal(bilinear_matrix(1, 3), [[1, 0, 0]])


@pytest.mark.parametrize(("size", "grid", "sigma"), [(224, 28, 1.0), (30, 7, 0.5), (5, 9, 2.0)])
def test_gaussian_rows_weigh_cells_by_distance(size, grid, sigma):
    expected = np.zeros((size, grid))
    for pixel in range(size):
        for cell in range(grid):
            # In cells, from the upper left corner of the line: pixel and cell centres.
            distance = (pixel + 0.5) / size * grid - (cell + 0.5)
            expected[pixel, cell] = np.exp(-(distance**2) / (2 * sigma**2))
        expected[pixel] /= expected[pixel].sum()
    np.testing.assert_allclose(gaussian_basis_matrix(size, grid, sigma), expected, atol=1e-6)


@hypothesis.given(st.integers(1, 60), st.integers(2, 30), st.floats(0.3, 3))
@hypothesis.settings(max_examples=50, deadline=None)
def test_rows_are_averages_symmetric_in_the_line(size, grid, sigma):
    for matrix in (bilinear_matrix(max(size, 2), grid), gaussian_basis_matrix(size, grid, sigma)):
        assert matrix.dtype == np.float32
        assert matrix.min() >= 0
        np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(matrix, matrix[::-1, ::-1], atol=1e-5)
