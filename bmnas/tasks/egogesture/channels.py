"""C_in of EgoGesture's features, from two ResNeXt-101 (appendix B.1)."""

EGO_CHANNELS = {f"{modality}_{i}": c for modality in ("RGB", "Depth") for i, c in enumerate((512, 1024, 2048, 2048), 1)}
