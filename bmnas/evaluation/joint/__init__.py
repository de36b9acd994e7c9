"""Joint training of backbones and fusion network on raw data (section 3.4)."""
