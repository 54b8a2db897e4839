"""``python -m vidcam``: the command line where the ``vidcam`` command is not on the path."""

from vidcam.cli.main import main

if __name__ == "__main__":
    main()
