"""The static report and its pictures."""
