import cv2
import numpy as np

from vissum_jax.report.parts_plot import parts_picture

PURITY = {"summaries": [0.9, 0.5], "k-means": [0.6, 0.4]}
SHUFFLED = [0.3, 0.2]


def test_the_plot_is_a_picture_and_the_same_each_time():
    plot = parts_picture(["wren", "crow"], PURITY, SHUFFLED)
    picture = cv2.imdecode(np.frombuffer(plot, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape[1] == 960
    assert picture.std() > 10
    assert parts_picture(["wren", "crow"], PURITY, SHUFFLED) == plot


def test_other_values_are_another_plot():
    one = parts_picture(["wren", "crow"], PURITY, SHUFFLED)
    assert parts_picture(["wren", "crow"], PURITY, [0.3, 0.4]) != one
    assert parts_picture(["wren", "crow"], {**PURITY, "k-means": [0.6, 0.1]}, SHUFFLED) != one


def test_a_line_more_for_every_class():
    heights = []
    for count in (1, 2, 12):
        plot = parts_picture([str(number) for number in range(count)], {"summaries": [0.5] * count}, [0.1] * count)
        heights.append(cv2.imdecode(np.frombuffer(plot, np.uint8), cv2.IMREAD_COLOR).shape[0])
    assert heights == sorted(set(heights))


def test_classes_without_values_and_strange_names_can_be_drawn():
    parts_picture(["a$b", "_x"], {"summaries": [None, 0.4], "ACE": [None, None]}, [None, 0.2])
    parts_picture(["none"], {"summaries": [None]}, [None])
