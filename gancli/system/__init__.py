"""Signals, the processes of a job, the cache of compiled programs, and progress."""
