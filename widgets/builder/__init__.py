"""A genotype built by hand."""
