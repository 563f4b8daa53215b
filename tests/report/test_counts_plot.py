import cv2
import numpy as np

from vissum_jax.report.counts_plot import CountPoint, counts_picture

POINTS = [CountPoint("squeezenet", 4.0, 0.58, 0.7), CountPoint("googlenet", 6.0, 0.69, None)]


def test_the_plot_is_a_picture_and_the_same_each_time():
    plot = counts_picture(POINTS)
    picture = cv2.imdecode(np.frombuffer(plot, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (585, 840, 3)
    assert picture.std() > 10
    assert counts_picture(POINTS) == plot


def test_every_accuracy_is_drawn():
    one = counts_picture(POINTS)
    assert counts_picture([POINTS[0], POINTS[1]._replace(measured_top1=0.8)]) != one
    assert counts_picture([POINTS[0]._replace(known_top1=None), POINTS[1]]) != one


def test_networks_without_accuracies_many_networks_and_strange_names_can_be_drawn():
    counts_picture([CountPoint("x", 1.0, None, None)])
    counts_picture([CountPoint(f"_net $ {number}", number, 0.5, 0.5) for number in range(14)])


def test_long_names_leave_room_for_the_plot():
    paths = [f"toy (/somewhere/{'deeply/' * 40}run-{number})" for number in range(2)]
    counts_picture([CountPoint(path, 3.0, 0.5, 0.5) for path in paths])  # matplotlib warns if nothing is left
