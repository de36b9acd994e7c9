"""What runs jobs: an engine a file, registered in `JOB_ENGINES`. A cluster's package is imported when it is used."""

from bmnas.scale.jobs import dask_cluster, in_process, processes, ray_cluster, slurm

__all__ = ["dask_cluster", "in_process", "processes", "ray_cluster", "slurm"]
