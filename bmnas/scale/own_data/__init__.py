"""One's own data: from arrays to a report, in scikit-learn's manner."""
