"""`python -m gancli`, the same as `gan`."""

from gancli.cli import main

main()
