"""What the tab Teach says."""

from __future__ import annotations

from collections.abc import Sequence

from vidcam.io.formatting import percent, seconds

from .app import Common

__all__ = ["Teach"]


class Teach:
    """The tab Teach."""

    TEACH = "Teach"
    BASE = "Start from"
    BASE_HELP = "The model that learns; mini is small and needs the least time."
    EPOCHS = "Epochs"
    EPOCHS_HELP = "Passes over the clips."
    LAYERS = "What learns"
    LAYERS_HELP = "With few clips, the last layer alone learns faster, and seldom worse."
    LAST_LAYER = "the last layer"
    ALL_LAYERS = "all layers"
    MODELS = "Your models"
    USE = "Use in Annotate"
    SEE_LIVE = "See it live"
    DOWNLOAD = "Download (.zip)"
    DELETE = "Delete"
    SURE = "Delete this model? Its files on this machine are deleted too."
    REPORT = "Training report"
    MISTAKES = "Mistakes, played"
    CLIPS_ASIDE = "the clips that were kept aside"
    TOO_FEW_ACTIONS = "A model learns to tell actions apart: name at least two, and add clips of each."
    ACTION_REMOVED = "This action was removed: reload the page."
    MODEL_DELETED = "This model was deleted: choose another one, or teach it again."
    DELETE_ELSEWHERE = "This model was taught in another browser: delete it there."
    SEE_ELSEWHERE = "This model was taught in another browser: see it live there."
    NONE = "none of these"
    SAME_PLACE = (
        "The test clips probably show the same person and place as the others. With other people, in other places, the model may "
        "make more mistakes: add clips of them."
    )
    NOTHING_ELSE = (
        "The model always answers with one of these actions, even if it sees none of them. If that matters, add an action named "
        f"“{NONE}”, with clips of everything else."
    )

    @staticmethod
    def model_in_menu(*, labels: Sequence[str], right: int, tested: int) -> str:
        return f"{', '.join(labels)} · {right} of {tested} right"

    @staticmethod
    def title(*, labels: Sequence[str]) -> str:
        return f"taught here: {', '.join(labels)}"

    @staticmethod
    def result(*, right: int, tested: int) -> str:
        return f"{right} of {tested} test clips right"

    @staticmethod
    def damaged(*, model: str) -> str:
        return f"The model {model} is damaged: teach it again."

    @staticmethod
    def epochs(*, done: int, count: int) -> str:
        return f"{done} of {count} epochs"

    @staticmethod
    def mistake(*, clip: str, predicted: str, prob: float) -> str:
        return f"{clip[:1].upper()}{clip[1:]} was taken for “{predicted}” ({percent(prob)})."

    @staticmethod
    def nobody_in(*, clips: Sequence[str]) -> str:
        which, where = "it" if len(clips) == 1 else "them", Common.list_words(clips)
        return f"Nobody seems to be in {where}: look at {which} again. The whole person belongs in the picture."

    @staticmethod
    def clip(*, number: int, label: str) -> str:
        return f"clip {number} of “{label}”"

    @staticmethod
    def too_many_actions(*, most: int) -> str:
        return f"A model is taught at most {most} actions here: `vidcam train` takes more."

    @staticmethod
    def too_many_clips(*, most: int) -> str:
        return f"An action has at most {most} clips here: `vidcam train` takes more."

    @staticmethod
    def too_many_bytes(*, most: str) -> str:
        return f"All clips together have at most {most} here: remove some, or use shorter ones."

    @staticmethod
    def too_short(*, name: str, duration: float, least: float) -> str:
        return f"{name} has only {seconds(duration)}: use clips of at least {least:g} seconds."

    @staticmethod
    def no_name(*, place: int) -> str:
        return f"Action {place} has no name: type what its clips show, such as “waving”."

    @staticmethod
    def same_name(*, label: str) -> str:
        return f"Two actions are named “{label}”: give one of them another name, or remove it."

    @staticmethod
    def too_few_clips(*, label: str, count: int, least: int) -> str:
        has = "one clip" if count else "no clip"
        why = "because one is kept aside to test the model"
        return f"“{label}” has {has}: each action needs at least {least} (better 5 or more), {why}."
