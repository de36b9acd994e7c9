"""Unimodal networks whose intermediate features are fused."""
