"""The paper's published networks and sizes, and what the authors' release does."""
