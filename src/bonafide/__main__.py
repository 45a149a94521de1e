"""`python -m bonafide`."""

from bonafide.cli import main

main()
