"""Image sources, decoding, labels and rendered flowers."""

from vissum_jax.data.decode import Decoded as Decoded
from vissum_jax.data.decode import DecodeLimits as DecodeLimits
from vissum_jax.data.decode import UnreadableImage as UnreadableImage
from vissum_jax.data.decode import decode as decode
from vissum_jax.data.decode import decode_batch as decode_batch
from vissum_jax.data.folder import FolderSource as FolderSource
from vissum_jax.data.folder import open_folder as open_folder
from vissum_jax.data.images import absolute_images as absolute_images
from vissum_jax.data.images import open_files as open_files
from vissum_jax.data.images import open_images as open_images
from vissum_jax.data.labels import LabelIndex as LabelIndex
from vissum_jax.data.labels import UnknownLabelError as UnknownLabelError
from vissum_jax.data.source import ImageEntry as ImageEntry
from vissum_jax.data.source import ImageSource as ImageSource
