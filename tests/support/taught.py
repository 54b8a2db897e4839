"""Models as the app keeps them, without teaching one: mini with other labels."""

from __future__ import annotations

from pathlib import Path

from vidcam.models import loading, trained
from vidcam.web.studio import teach_models

SWAPPED = {"jumping jack": "walking", "walking": "jumping jack"}


def swapped_labels() -> tuple[str, ...]:
    """Return the labels of mini with two of them swapped: what it takes for a jumping jack is called walking."""
    return tuple(SWAPPED.get(label, label) for label in loading.load("mini").labels)


def keep_mini(
    owner: str, folder: Path, labels: tuple[str, ...], *, name: tuple[str, ...] = ("a", "b")
) -> teach_models.TaughtModel:
    """Put mini, with other labels, on the shelf of a browser; ``folder`` is where it is made."""
    mini, made = loading.load("mini"), folder / teach_models.make_name(name)
    made.mkdir(parents=True)
    trained.write(
        made, mini.module, architecture="mini", labels=labels, temperature=mini.spec.temperature, multi_label=False, more={}
    )
    return teach_models.model_shelf().keep(owner, teach_models.TaughtModel(made, labels, 2, 2, (), ()))
