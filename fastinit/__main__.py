"""`python -m fastinit`: the `fastinit` command."""

from .cli import main

if __name__ == "__main__":
    main()
