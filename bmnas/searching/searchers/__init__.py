"""Algorithm 1's rivals in searching: each proposes genotypes of the same space and learns their validation scores."""
