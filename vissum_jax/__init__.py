"""Which visual parts does an image classifier rely on, for a whole class, and how do we know?"""

import lazy_loader

from vissum_jax._version import __version__

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ = [*__all__, "__version__"]
