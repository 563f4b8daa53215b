"""Where a network's weights are: in an installed package, in the user's cache, on the net, or with the user."""

import enum
from dataclasses import dataclass
from pathlib import Path

from vissum_jax.models.architecture import Architecture
from vissum_jax.models.download import cache_path, fetch, source_url
from vissum_jax.models.transfer import TransferProgress


class WeightsState(enum.StrEnum):
    """What is needed before a network can be used."""

    INSTALLED = "installed"  # nothing, they came with a package
    CACHED = "cached"  # nothing, they were downloaded before
    DOWNLOAD = "download"  # they are downloaded when they are first used
    BY_HAND = "by hand"  # the user names a file


@dataclass(frozen=True)
class WeightsPlace:
    """Where a network's weights are.

    Attributes:
        state: What is needed.
        path: Where they are, or where a download would put them; None where only the user knows.
        url: Where they would be downloaded from, or None.
    """

    state: WeightsState
    path: Path | None = None
    url: str | None = None


def locate_weights(architecture: Architecture) -> WeightsPlace:
    """Look in this order: installed packages, the user's cache, official downloads."""
    installed = architecture.default_weights() if architecture.default_weights else None
    if installed is not None:
        return WeightsPlace(WeightsState.INSTALLED, installed)
    if architecture.download is None:
        return WeightsPlace(WeightsState.BY_HAND)
    path = cache_path(architecture.download)
    state = WeightsState.CACHED if path.is_file() else WeightsState.DOWNLOAD
    return WeightsPlace(state, path, source_url(architecture.download))


def have_weights(architecture: Architecture, *, progress: TransferProgress | None = None) -> Path:
    """The file of a network's default weights, downloaded if need be.

    Args:
        architecture: The network.
        progress: Told of every byte of a download.

    Returns:
        The file.

    Raises:
        FileNotFoundError: If they neither come with a package nor can be downloaded.
        DownloadError: If the download fails.
    """
    place = locate_weights(architecture)
    if place.state is WeightsState.INSTALLED and place.path is not None:
        return place.path
    if architecture.download is None:
        raise FileNotFoundError(
            f"`weights` of {architecture.name!r} are not installed; name a file. They come from {architecture.source}."
        )
    return fetch(architecture.download, progress=progress)
