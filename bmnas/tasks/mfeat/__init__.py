"""`mfeat`: six views of handwritten numerals."""
