"""Several seeds searched at once."""
