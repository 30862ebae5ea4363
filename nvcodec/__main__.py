"""Run the command line with `python -m nvcodec`."""

from nvcodec.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
