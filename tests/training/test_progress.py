"""Bars of epochs in a plain terminal."""

import pytest

from bmnas.searching.algorithm1 import search
from tests.support.tiny import CONFIG, tiny_features


@pytest.mark.parametrize("show, drawn", [(True, True), (False, False), (None, False)])  # no terminal is there
def test_a_search_draws_a_bar_where_it_is_told_to(show, drawn, capsys):
    assert len(list(search(tiny_features(), CONFIG.change(epochs=2, show_progress=show)))) == 2
    assert ("search, epochs" in capsys.readouterr().err) == drawn
