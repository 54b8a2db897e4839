"""The app: sessions and their queue, uploads, jobs, what is shown (view_models, menus), one module for each tab, the server."""
