"""The hypernet and the genotype as pictures."""
