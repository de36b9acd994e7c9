"""The search (section 3.4): Algorithm 1, its records, and how its answer is read out."""
