"""Trust: whether a search, a difference, or fusion itself can be believed."""
