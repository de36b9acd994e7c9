"""Processes that read samples: they start where torch's own would not, and outlive nobody."""

import multiprocessing
import os
import time
from pathlib import Path

import joblib
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from bmnas.training.loader_processes import loader_processes
from tests.support.processes import gone, within


class ReaderNames(Dataset[int]):
    """Each sample is the number of the process that read it, which is also left in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __len__(self) -> int:
        return 8

    def __getitem__(self, row: int) -> int:
        (self.folder / str(os.getpid())).touch()
        return os.getpid()


def read_and_wait(folder: Path) -> None:
    multiprocessing.set_start_method("forkserver", force=True)
    batches = iter(DataLoader(ReaderNames(folder), 2, **loader_processes(2)))
    next(batches)
    time.sleep(600)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc")
def test_a_killed_process_leaves_no_reader_behind(tmp_path):
    """Readers of a fork server, which torch's own watch takes for their parent."""
    process = multiprocessing.get_context("forkserver").Process(target=read_and_wait, args=(tmp_path,))
    process.start()
    try:
        assert within(60, lambda: len(list(tmp_path.iterdir())) == 2)
    finally:
        process.kill()
        process.join()
    assert [gone(int(path.name)) for path in tmp_path.iterdir()] == [True, True]


def test_samples_are_read_in_this_process_or_in_others(tmp_path):
    here = torch.cat(list(DataLoader(ReaderNames(tmp_path), 2, **loader_processes(0))))
    there = torch.cat(list(DataLoader(ReaderNames(tmp_path), 2, **loader_processes(2))))
    assert here.tolist() == [os.getpid()] * 8
    assert len(set(there.tolist())) == 2 and os.getpid() not in there


def count_readers(folder: Path) -> int:
    return len(set(torch.cat(list(DataLoader(ReaderNames(folder), 2, **loader_processes(2)))).tolist()))


def test_a_process_of_joblib_has_readers_too(tmp_path):
    counts = joblib.Parallel(n_jobs=2, backend="loky")(joblib.delayed(count_readers)(tmp_path) for _ in range(2))
    assert list(counts) == [2, 2]
