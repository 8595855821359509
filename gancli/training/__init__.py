"""Training of runs: planning, the loop and its events, what plays its steps."""
