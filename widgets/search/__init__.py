"""The dashboard of a search."""
