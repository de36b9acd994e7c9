"""Figures and tables that stay in a saved notebook."""
