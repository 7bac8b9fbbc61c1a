"""python -m cybermiles is `cmt`."""

from cybermiles.cli.main import main

if __name__ == "__main__":
    main()
