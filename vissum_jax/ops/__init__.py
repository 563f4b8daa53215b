"""Stage-neutral JAX kernels: each takes one example, callers batch with vmap."""
