"""Faster and larger: compiled networks, several seeds at once."""
