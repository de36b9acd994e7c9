"""The parts of the shortlist: single paths, the ranking, the candidates and their successive halving."""
