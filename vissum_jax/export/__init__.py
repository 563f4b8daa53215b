"""A run's masks and summaries in the formats of other tools."""
