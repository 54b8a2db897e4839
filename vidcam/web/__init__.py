"""Everything for a browser: the live viewer, the app, and who may use them."""
