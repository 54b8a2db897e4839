"""Start the app from a checkout: ``python apps/gradio_app.py`` does what ``vidcam app`` does, with the same options."""

import sys

from vidcam.cli.main import main

if __name__ == "__main__":
    sys.argv.insert(1, "app")
    main()
