"""Cells that stay responsive, controls and figures that move."""
