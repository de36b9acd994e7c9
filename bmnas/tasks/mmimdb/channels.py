"""C_in of MM-IMDB's features, from VGG-19 and the Maxout MLP (appendix B.1)."""

MMIMDB_CHANNELS = {**{f"Image_{i}": 512 for i in range(1, 5)}, "Text_1": 64, "Text_2": 128}
