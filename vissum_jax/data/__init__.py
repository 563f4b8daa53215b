"""Image sources, decoding, labels and rendered flowers."""
