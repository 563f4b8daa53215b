"""Manifest, shards and resume: the run engine, which knows no algorithm."""
