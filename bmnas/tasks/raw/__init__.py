"""What the tasks with real raw data share."""
