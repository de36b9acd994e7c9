"""The leaderboard: every method of a table, by score, size and cost of the search."""
