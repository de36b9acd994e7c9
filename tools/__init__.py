"""What executes the notebooks: runner, records, progress."""
