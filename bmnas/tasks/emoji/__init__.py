"""`emoji`: pictures and names of emoji, and what they are about."""
