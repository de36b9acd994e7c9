"""What goes into a search: samples and features."""
