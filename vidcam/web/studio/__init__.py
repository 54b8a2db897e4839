"""The parts of the app: who is served (desk), what may come in (intake), what is shown (facts, menus), the tabs, the server."""
