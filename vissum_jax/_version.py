"""The version, read by the build and by the manifest of a run."""

__version__ = "0.1.0"
