"""What lies on disk: whole-file writes, locks, records, checkpoints and the arrays of feature sets."""
