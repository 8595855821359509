"""Losses, penalties, augmentations, optimizers, dynamics, scalar games and keys; no I/O."""
