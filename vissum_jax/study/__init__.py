"""The user study: what people call the summaries, and how far they agree (VS 4.2, table 1)."""
