"""What is built on vidcam's public names: the app, and the live viewer's page. Installed as ``vidcam_apps``."""
