"""`avmnist` and `avsum`: handwritten and spoken digits."""
