"""Where the pages and apps are that are built on vidcam: in a checkout in ``apps``, once installed in ``vidcam_apps``."""

from __future__ import annotations

import importlib
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from vidcam.errors import VidcamError

__all__ = ["folder", "module"]

PACKAGE = "vidcam_apps"


def folder(name: str) -> Path:
    """The folder ``name`` of the apps; VidcamError where the installation lacks it."""
    beside = Path(__file__).resolve().parent.parent
    for place in (beside / "vidcam_apps" / name, beside / "apps" / name):
        if place.is_dir():
            return place
    raise VidcamError(f"this installation of vidcam lacks {name}: install it anew")


def module(name: str) -> ModuleType:
    """The module ``name`` of the apps, imported as a part of the package ``vidcam_apps``, wherever that is."""
    if PACKAGE not in sys.modules:
        init = folder("live").with_name("__init__.py")
        spec = spec_from_file_location(PACKAGE, init, submodule_search_locations=[str(init.parent)])
        if spec is None or spec.loader is None or not init.is_file():
            raise VidcamError("this installation of vidcam lacks its apps: install it anew")
        sys.modules[PACKAGE] = package = module_from_spec(spec)
        spec.loader.exec_module(package)
    return importlib.import_module(f"{PACKAGE}.{name}")
