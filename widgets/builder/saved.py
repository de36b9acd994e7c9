"""Genotypes made by hand, stored by name in a run folder, and the rows under which they are evaluated."""

from pathlib import Path

from bmnas.errors import RunError
from bmnas.evaluation.ablation import AblationRow
from bmnas.searching.run_folder import RUN_NAME, Run
from bmnas.space.genotype import Genotype
from bmnas.storage.lock import hold

FOLDER = "genotypes"


def save_genotype(run: Run, name: str, genotype: Genotype) -> Path:
    """Writes `genotypes/<name>.json` into the run folder; the same genotype under the same name is left as it is.

    Raises:
        RunError: the name is no file name, or belongs to another genotype; nothing is overwritten.
        GenotypeError: the file cannot be written, or the one that is there is damaged.
    """
    if not RUN_NAME.fullmatch(name.replace(" ", "_")) or name != name.strip():
        raise RunError(f"the name is {name!r}; expected letters, digits, '.', '-', '_' and blanks between them")
    path = run.path(FOLDER) / f"{name}.json"
    with hold(path.with_suffix(".lock"), wait=True):
        if not path.exists():
            genotype.save(path)
        elif Genotype.load(path) != genotype:
            raise RunError(f"{path} holds another genotype; choose another name. Nothing was changed")
    return path


def saved_names(run: Run) -> list[str]:
    """Lists the names under which genotypes were saved in the run folder."""
    return sorted(path.stem for path in run.path(FOLDER).glob("*.json"))


def saved_genotype(run: Run, name: str) -> Genotype:
    """Reads a genotype that was saved in the run folder.

    Raises:
        GenotypeError: there is none of that name, or the file is damaged; names the file.
    """
    return Genotype.load(run.path(FOLDER) / f"{name}.json")


def by_hand_rows(run: Run, built: Genotype | None = None) -> tuple[AblationRow, ...]:
    """Makes a row for each saved genotype, and one for `built` where it is neither saved nor the searched one.

    Raises:
        GenotypeError: a saved file is damaged; names it.
    """
    genotypes = {f"by hand: {name}": saved_genotype(run, name) for name in saved_names(run)}
    if built is not None and built not in (*genotypes.values(), run.genotype()):
        genotypes["by hand, not saved"] = built
    return tuple(AblationRow(name, "-", lambda *_, own=genotype: own) for name, genotype in genotypes.items())
