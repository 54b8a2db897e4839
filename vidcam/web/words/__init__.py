"""Every sentence and label that the app's and the live page's Python shows to users, grouped by the part of the page.

They are plain constants and functions with named fields. ``gr.I18n`` would not do: it has keys without fields, for the labels of
Gradio's own components only, and no type checker knows the keys. A translation replaces these modules.
"""

from .app import Annotate, Answer, Ask, Common, Compare, Menus, Runs, Tabs, Uploads
from .live import Hub, Watch
from .teach import Teach

__all__ = ["Annotate", "Answer", "Ask", "Common", "Compare", "Hub", "Menus", "Runs", "Tabs", "Teach", "Uploads", "Watch"]
