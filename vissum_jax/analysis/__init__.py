"""What the summaries are worth: measures on finished results."""
