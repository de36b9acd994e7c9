"""A search explored epoch by epoch."""
