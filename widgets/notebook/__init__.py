"""What notebooks use: first cells, source listings, export."""
