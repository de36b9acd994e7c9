"""`twodigits`: the sum of two drawings, modulo 10."""
