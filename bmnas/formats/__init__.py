"""Readers of the paper's data sets, one format a file; what is wrong is one `DataError` that names the place."""
