"""A long extraction that may be killed anywhere and goes on after its last whole batch."""
