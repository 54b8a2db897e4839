"""Start the live viewer from a checkout: ``python apps/live_viewer.py`` does what ``vidcam live`` does, with the same options."""

import sys

from vidcam.cli.main import main

if __name__ == "__main__":
    sys.argv.insert(1, "live")
    main()
