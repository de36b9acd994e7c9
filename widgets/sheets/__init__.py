"""Sheets: pictures made of SVG."""
