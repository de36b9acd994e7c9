"""Unimodal features (section 3.1): feature sets, their store, and their extraction by frozen backbones."""
