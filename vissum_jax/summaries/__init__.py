"""From a similarity matrix to visual summaries."""
