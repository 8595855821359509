"""Output for people: pictures, progress and tables. Other packages print nothing."""
