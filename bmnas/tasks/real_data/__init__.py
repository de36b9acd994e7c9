"""What the paper's tasks share on real data: backbones, extraction, and pictures of the samples."""
