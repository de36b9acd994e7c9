"""The whole field in one table: a searched network, its rivals and the modalities alone, on the same features."""
