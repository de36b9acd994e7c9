"""The paper's data sets as torch Datasets: lazy, so that worker processes decode."""
