"""`python -m bonafide`."""

from bonafide.cli.main import main

main()
