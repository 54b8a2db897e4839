"""Run the command line as ``python -m vidcam``, if the ``vidcam`` command is not on the path."""

from vidcam.cli.main import main

if __name__ == "__main__":
    main()
