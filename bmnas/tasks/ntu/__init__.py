"""`ntu`: the paper's task of actions, videos and skeletons."""
