"""A run on disk: its configuration, checkpoints, metrics, samples, status and lock."""
