"""Labs: a primitive at work, and the discretisation gap."""
