"""What viewers may change about the events of a stream: regions, and rules whose events only the page shows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from vidcam.errors import UsageError
from vidcam.live.pipeline import LivePipeline
from vidcam.live.regions import Region
from vidcam.live.rules import Rule, parse_rule
from vidcam.web import words

__all__ = ["MAX_REGIONS", "MAX_RULES", "set_region", "set_rule"]

MAX_REGIONS, MAX_RULES = 20, 20


def set_region(pipeline: LivePipeline, request: dict[str, Any]) -> None:
    """Add the region ``name`` with the ``box`` [left, top, right, bottom], or remove it if the box is None.

    Raises:
        UsageError: The region is not valid or belongs to the command line, a rule needs it, or there are too many.
    """
    name, box = _text(request, "name"), request.get("box")
    if name in pipeline.fixed_regions:
        raise UsageError(words.Watch.fixed_region(name=name))
    with pipeline.stream.explaining:
        if box is None:
            _check_unused(pipeline, name)
            pipeline.regions.pop(name, None)
            return
        if not isinstance(box, list) or len(box) != 4 or not all(type(edge) in (int, float) for edge in box):
            raise UsageError(words.Watch.not_a_box(given=box))
        if name not in pipeline.regions and len(pipeline.regions) >= MAX_REGIONS:
            raise UsageError(words.Watch.too_many(what="regions", most=MAX_REGIONS))
        pipeline.regions[name] = Region(name, *map(float, box))


def _check_unused(pipeline: LivePipeline, name: str) -> None:
    monitor = pipeline.page_monitor
    for rule in monitor.followed if monitor else ():
        if parse_rule(rule).region == name:
            raise UsageError(words.Watch.region_used(rule=rule, region=name))


def set_rule(pipeline: LivePipeline, request: dict[str, Any]) -> None:
    """Follow the rule ``add`` on the page's account, or follow the rule ``remove`` no more.

    Raises:
        UsageError: The rule cannot be understood or does not fit, or there are too many.
    """
    monitor = pipeline.page_monitor
    if monitor is None:
        raise UsageError(words.Watch.NO_LIST)
    if "remove" in request:
        with pipeline.stream.explaining:
            monitor.unfollow(_text(request, "remove"))
        return
    rule = _with_known_region(parse_rule(_text(request, "add")), pipeline)
    if rule.source not in ("", pipeline.source.name):
        raise UsageError(words.Watch.other_source(page=pipeline.source.name, rule=rule.source))
    if len(monitor.followed) >= MAX_RULES:
        raise UsageError(words.Watch.too_many(what="rules", most=MAX_RULES))
    with pipeline.stream.explaining:
        monitor.follow(rule)


def _with_known_region(rule: Rule, pipeline: LivePipeline) -> Rule:
    """Return the rule with its region's name as the region has it. UsageError if there is no such region."""
    names = {name.casefold(): name for name in pipeline.regions}
    if rule.region and rule.region.casefold() not in names:
        raise UsageError(words.Watch.no_region(name=rule.region, regions=list(names.values())))
    return replace(rule, region=names.get(rule.region.casefold(), ""))


def _text(request: dict[str, Any], key: str) -> str:
    text = request.get(key)
    if not isinstance(text, str) or len(text) > 500:
        raise UsageError(words.Watch.not_a_text(what=key))
    return " ".join(text.split())
