"""Slurm jobs of runs and comparisons: their scripts, their sending, and how they stand.

Nothing here imports JAX: on a login node `gan status` answers at once.
"""
