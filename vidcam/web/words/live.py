"""What the live viewer answers to what its page asks for."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["Hub", "Watch"]


class Hub:
    """What the live viewer answers to what a page asks for."""

    NO_CHOICE = "The model of this stream cannot be changed here."

    @staticmethod
    def no_source(*, name: str, sources: Sequence[str]) -> str:
        return f"There is no source called {name} here; sources: {', '.join(sources)}."

    @staticmethod
    def too_many_cameras(*, most: int) -> str:
        return f"{most} cameras are already in use; try again when one of them is free."

    @staticmethod
    def no_name(*, what: str, given: object) -> str:
        return f"The {what} must be a name, got {given!r}."

    @staticmethod
    def smoothing(*, given: object) -> str:
        return f"Smoothing must be 0 to 5 seconds, got {given!r}."

    @staticmethod
    def missing(*, needs: Sequence[str], model: str) -> str:
        return f"needs {', '.join(needs)}, which {model} does not have"


class Watch:
    """Rules and regions that viewers make on the live page."""

    NO_LIST = "This stream has no list of events."

    @staticmethod
    def fixed_region(*, name: str) -> str:
        return f"The region {name} was given on the command line and cannot be changed here."

    @staticmethod
    def not_a_box(*, given: object) -> str:
        return f"A region is four numbers, got {given!r}."

    @staticmethod
    def too_many(*, what: str, most: int) -> str:
        return f"There are {most} {what} already; remove one first."

    @staticmethod
    def region_used(*, rule: str, region: str) -> str:
        return f"The rule {rule!r} needs the region {region}: remove the rule first."

    @staticmethod
    def no_region(*, name: str, regions: Sequence[str]) -> str:
        known = f"Draw it first, or use one of these: {', '.join(regions)}." if regions else "Draw it first."
        return f"There is no region {name!r} here. {known}"

    @staticmethod
    def other_source(*, page: str, rule: str) -> str:
        return f"This is the page of {page}: leave out 'at {rule}'."

    @staticmethod
    def not_a_text(*, what: str) -> str:
        return f"The {what} must be a text of at most 500 characters."
