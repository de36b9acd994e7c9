"""Faster and larger: compiled networks, shortcuts on the CPU, several seeds at once."""
