"""C_in of NTU's features, from Inflated ResNet-50 and HCN (appendix B.1)."""

NTU_CHANNELS = {
    **{"Video_1": 512, "Video_2": 1024, "Video_3": 2048, "Video_4": 2048},
    **{"Skeleton_1": 128, "Skeleton_2": 256, "Skeleton_3": 1024, "Skeleton_4": 512},
}
