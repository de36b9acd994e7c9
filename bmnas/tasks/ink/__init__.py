"""`ink`: which of two drawings of one digit has more ink."""
