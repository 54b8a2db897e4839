"""Live actions: what is done about an event. :mod:`~vidcam.live.actions.table` lists them, one module implements each."""

from vidcam.live.actions.table import ACTIONS, Action, ActionSpec, list_actions, parse_action, register_action

__all__ = ["ACTIONS", "Action", "ActionSpec", "list_actions", "parse_action", "register_action"]
