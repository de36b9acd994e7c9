"""`mmimdb`: the paper's task of movie genres, posters and plots."""
