"""What came out of an evaluation."""
