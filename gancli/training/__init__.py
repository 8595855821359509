"""Training of runs: planning, the loop and its events, and the backends that compute its steps."""
