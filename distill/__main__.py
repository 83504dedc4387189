"""``python -m distill``: the command line without an installed script (torchrun starts it so)."""

from distill.cli import main

if __name__ == "__main__":
    main()
