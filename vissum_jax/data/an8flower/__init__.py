"""Rendered flowers whose classes differ in exactly one coloured part, or two, with the truth of every part."""

from vissum_jax.data.an8flower.classes import DATASET_VARIANTS as DATASET_VARIANTS
from vissum_jax.data.an8flower.classes import PART_NAMES as PART_NAMES
from vissum_jax.data.an8flower.classes import PLAIN as PLAIN
from vissum_jax.data.an8flower.classes import FlowerClass as FlowerClass
from vissum_jax.data.an8flower.classes import flower_classes as flower_classes
from vissum_jax.data.an8flower.config import FlowerConfig as FlowerConfig
from vissum_jax.data.an8flower.dataset import read_labels as read_labels
from vissum_jax.data.an8flower.dataset import write_dataset as write_dataset
from vissum_jax.data.an8flower.render import Flower as Flower
from vissum_jax.data.an8flower.render import render_flower as render_flower
