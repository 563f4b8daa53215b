"""Networks, their checkpoints and the registry: the only user of Flax."""
