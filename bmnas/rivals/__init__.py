"""What a searched fusion network is compared with."""
