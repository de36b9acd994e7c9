"""`egogesture`: the paper's task of gestures, RGB and depth."""
