"""`digits`: real handwriting and synthetic sounds."""
