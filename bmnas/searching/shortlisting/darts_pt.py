"""DARTS-PT as a read-out: a finished search is projected decision by decision, and resumes after the last one."""

from bmnas.errors import RunError
from bmnas.searching.shortlisting.finished_search import FinishedSearch
from bmnas.searching.shortlisting.masked_hypernet import TunedSupernet, offered_by
from bmnas.searching.shortlisting.projection import ProjectedChoice, Projection, order_of, project, projected_genotype
from bmnas.storage.checkpoint import load_state, save_state


def projection_of(search: FinishedSearch) -> Projection:
    """Projects a search's hypernet; its state is kept after each decision, where the search keeps anything.

    Raises:
        ConfigError: the relaxation is not "shared".
        RunError: the kept state is damaged, or of another hypernet.
        SearchDiverged: a loss of a tuning is NaN or infinite.
    """
    supernet = TunedSupernet(search.hypernet, search.features, search.config)
    decisions = _resumed(search, supernet)
    total = len(order_of(search.space, search.config.seed))
    search.report("DARTS-PT, decisions", len(decisions), total)
    offered = offered_by(search.hypernet)
    for decision in project(search.space, offered, supernet, search.config.seed, tuple(decisions)):
        decisions.append(decision)
        if search.replay is not None:
            state = {
                "epoch": search.replay.epoch,
                "decisions": [one.to_dict() for one in decisions],
                "supernet": supernet.state_dict(),
            }
            save_state(search.replay.state_path, state)
        search.report("DARTS-PT, decisions", len(decisions), total)
    return Projection(projected_genotype(search.space, decisions), tuple(decisions))


def _resumed(search: FinishedSearch, supernet: TunedSupernet) -> list[ProjectedChoice]:
    """Brings the supernet to where an interrupted projection left it; returns the decisions so far."""
    if search.replay is None or not search.replay.state_path.exists():
        return []
    state = load_state(search.replay.state_path)
    try:
        if state["epoch"] != search.replay.epoch:
            return []
        supernet.load_state_dict(state["supernet"])
        return list(map(ProjectedChoice.from_dict, state["decisions"]))
    except (KeyError, ValueError, RuntimeError, TypeError, AttributeError, IndexError) as error:
        raise RunError(
            f"{search.replay.state_path}: of another hypernet ({error}); delete it to start the read-out again"
        ) from error
