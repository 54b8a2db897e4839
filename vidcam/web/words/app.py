"""What the app"s page says, save the tab Teach."""

from __future__ import annotations

from collections.abc import Sequence

from vidcam.io.formatting import percent, seconds

__all__ = ["Annotate", "Answer", "Ask", "Common", "Compare", "Menus", "Runs", "Tabs", "Uploads"]


class Common:
    """What several parts say."""

    STOP = "Stop"
    MORE = "More"
    MODEL = "Model"
    EVIDENCE_FOR = "Evidence for"
    BUSY = "Your last request is still being worked on: wait for it, or stop it."
    EXPIRED = "This page has expired: reload it."
    NO_VIDEO = "There is no video yet: choose one, record one, or take an example."
    NOT_EXPLAINED = "Explain a video first."
    NO_FILE = "There is no such file: explain the video first."

    @staticmethod
    def list_words(words: Sequence[str]) -> str:
        """Return words as a list in a sentence: "a, b and c"."""
        return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)

    @staticmethod
    def internal_error(*, number: str) -> str:
        return f"Something went wrong inside vidcam ({number}): the details are in the terminal in which it runs."

    @staticmethod
    def queue_full(*, waiting: int) -> str:
        return f"{waiting} others are waiting already: try again in a few minutes."


class Tabs:
    """The names of the tabs."""

    ANNOTATE = "Annotate"
    COMPARE = "Compare"
    LIVE = "Live"
    TEACH = "Teach"
    MODELS = "Models"


class Annotate:
    """The questions of the tab Annotate."""

    EXPLAIN = "Explain"
    EXPLAIN_AGAIN = "Explain again"
    METHOD = "Method"
    CLASSES_HELP = "Leave empty to explain the model's answer."
    CONTRAST = "Contrast with"
    NO_CONTRAST = "none"
    CHECK = "Check: does the answer depend on this evidence? (takes longer; the heat comes first)"
    SMOOTHING = "Smoothing over time"
    SMOOTHING_SECONDS = "Smoothing, seconds"
    CLIP_STARTS = "Seconds between clip starts"
    CLIP_STARTS_HELP = "0: half a clip."
    COVER = "Several crops that cover the whole frame"
    FROM = "From second"
    FROM_DEFAULT = "the beginning"
    TO = "To second"
    TO_DEFAULT = "the end"
    AGAIN = "The evidence of this run is computed again: "

    @staticmethod
    def not_seconds(*, given: object) -> str:
        return f"{given!r} is not a number of seconds: type one such as 2.5, or leave the field empty."

    @staticmethod
    def no_example(*, name: object) -> str:
        return f"{name!r} is not one of the examples."

    @staticmethod
    def example(*, video: str, model: str) -> str:
        return f"{video}, explained by {model}"

    @staticmethod
    def turn(*, number: int, count: int, video: str) -> str:
        return f"{number} of {count}, {video}: "

    @staticmethod
    def some_failed(*, failures: Sequence[str], count: int) -> str:
        return f"{len(failures)} of {count} videos could not be explained. {' '.join(failures)}"


class Answer:
    """The headline, the answer in figures, and the verdict."""

    COVER = "Cover the whole picture"
    COVERED = "several crops"

    @staticmethod
    def contrasted(*, versus: str) -> str:
        return f"contrasted with {versus}"

    @staticmethod
    def part(*, start: float | None, end: float | None) -> str:
        return f"only from {Annotate.FROM_DEFAULT if start is None else seconds(start)} to " + (
            Annotate.TO_DEFAULT if end is None else seconds(end)
        )

    @staticmethod
    def unseen(*, fraction: float) -> str:
        return f"The model did not see {percent(fraction)} of the video (hatched)."

    @staticmethod
    def only_first(*, label: str) -> str:
        return f"Only “{label}”, the first class, was checked."

    @staticmethod
    def stale(*, shown: Sequence[str]) -> str:
        return f"Shown: {' · '.join(shown)}. Press {Annotate.EXPLAIN_AGAIN} to see the new settings."

    @staticmethod
    def moment(*, label: str, start: float, end: float) -> str:
        return f"{label} ({start:.1f}–{end:.1f} s)"

    @staticmethod
    def only_moments(*, model: str, moments: Sequence[str]) -> str:
        return f"{model} recognises no action in most of this video. For moments, it recognises {Common.list_words(moments)}."

    @staticmethod
    def nobody(*, model: str) -> str:
        return f"{model} sees nobody in this video."

    @staticmethod
    def none_of(*, model: str, actions: int) -> str:
        return f"{model} recognises none of its {actions} actions in this video."

    @staticmethod
    def explain_with(*, model: str, actions: int, download: str) -> str:
        return f"Explain with {model} ({actions} actions{download})"

    @staticmethod
    def side_by_side(*, videos: Sequence[str]) -> str:
        return f"Side by side: {' and '.join(videos)}"


class Ask:
    """What if a part of the video were hidden?"""

    NOTHING_DRAWN = "Drag a box on the picture, or a stretch on the timeline."
    AREA = "the framed area"
    STRETCH = "that stretch of time"
    AREA_FILLED = "the area is filled in from its surroundings"
    STRETCH_FILLED = "the stretch shows the first picture of the clip"

    @staticmethod
    def not_looked_at(*, where: str, time: float) -> str:
        return f"The model does not look at {where} in its clip around {seconds(time)}."

    @staticmethod
    def no_clip(*, time: float) -> str:
        return f"No clip of the model covers {seconds(time)}."

    @staticmethod
    def change(*, before: float, after: float) -> str:
        """Return how a probability changes, as it reads: one that looks the same as before stays."""
        if percent(before) == percent(after):
            return f"stays at {percent(after)}"
        return f"{'falls' if after < before else 'rises'} from {percent(before)} to {percent(after)}"

    @staticmethod
    def answer(*, where: str, label: str, change: str, new: str, time: float, filled: str) -> str:
        return f"With {where} hidden, “{label}” {change}{new}. (The clip around {seconds(time)}; {filled}.)"

    @staticmethod
    def new_answer(*, label: str, prob: float) -> str:
        return f"; the answer becomes “{label}”, {percent(prob)}"


class Runs:
    """The explained videos that are kept."""

    NONE = "There are no runs yet: explain a video first."
    DELETED = "This run was deleted."
    ONE_OR_TWO = "Choose one run, or two to play them side by side."
    MP4 = "MP4"
    EVERYTHING = "All (.zip)"

    @staticmethod
    def keep_beside(*, how: str, video: str) -> str:
        return f"{how} Keep {video} beside this page."


class Compare:
    """The tab Compare."""

    COMPARE = "Compare"
    OF_METHODS = "Methods of one model"
    OF_MODELS = "Two models"
    FIRST = "First model"
    SECOND = "Second model"
    METHODS = "Methods"
    ANSWERS_OF_ONE = "Leave empty for the two most probable answers."
    ANSWERS_OF_BOTH = "Leave empty for the most probable answers that both models know."
    NO_SECOND = "Choose a second model."
    NO_METHOD = "No method is chosen, or none works on both models: choose other models, or a method."
    NO_OTHER = "There is no other model on this machine: teach one, or download one in the Models tab."
    SAME = "This is the first model: choose another one."

    @staticmethod
    def same_model(*, model: str) -> str:
        return f"{model} is chosen twice: choose another model to compare it with."

    @staticmethod
    def in_common(*, reach: str, count: int, first: str) -> str:
        if not count:
            return f"{reach} It has no class in common with {first}, so their evidence cannot be compared."
        return f"{reach} {count} {'class' if count == 1 else 'classes'} in common with {first}."

    @staticmethod
    def number_of_methods(*, most: int, chosen: int) -> str:
        return f"Choose one to {most} methods: {chosen} are chosen."


class Menus:
    """The menus of models and methods."""

    FAMILIES = {  # noqa: RUF012
        "cam": "Class activation",
        "gradient": "Gradients",
        "input": "Input gradients",
        "perturbation": "Perturbation",
        "propagation": "Relevance propagation",
        "attention": "Attention",
    }
    METHODS = "Methods"
    METHOD_COLUMNS = ("Method", "Family", "Evidence", "Complete", "Cost", "Paper")
    FOR, FOR_AND_AGAINST, ADDS_UP = "for", "for and against", "adds up to the score"
    BEST = "best · the best of several, tested on this video (takes minutes)"
    BEST_HERE = "This model was chosen because it is the best one on this machine."
    LARGER_ONES = "This model was chosen because no larger one is on this machine; the tab Models downloads some."
    IN_WORDS = {  # noqa: RUF012
        "cam": "what the last layer responds to",
        "gradient": "what raises the score",
        "input": "pixels that change the score",
        "perturbation": "what changes the score if it is hidden",
        "propagation": "the score, traced back to the pixels",
        "attention": "where the model attends",
    }
    NO_WEIGHTS = "it has no weights that could be downloaded"
    OFFLINE = "its weights are not on this machine, and the app was started without downloads"

    @staticmethod
    def model(*, name: str, title: str, actions: int, download: str) -> str:
        return f"{name} · {title}, {actions} actions{download}"

    @staticmethod
    def download(*, size: str | None) -> str:
        """Return what is added to a model whose weights are not on this machine; ``size`` is None if it is not known."""
        return f", downloads {size or 'its weights'}"

    @staticmethod
    def taught_model(*, name: str, right: int, tested: int) -> str:
        return f"{name} · taught here, {right} of {tested} test clips right"

    @staticmethod
    def reach(*, actions: int, everyday: bool, clip_s: float) -> str:
        return f"Knows {actions} {'everyday movements' if everyday else 'actions'}; looks at {clip_s:.2g} s at a time."

    @staticmethod
    def method(*, name: str, family: str, complete: bool, recommended: bool) -> str:
        shows = f"what {Menus.ADDS_UP}" if complete else Menus.IN_WORDS.get(family, family)
        return f"{name} · {shows}" + (" · recommended" if recommended else "")

    @staticmethod
    def not_here(*, model: str) -> str:
        return f"{model} cannot be used: {Menus.OFFLINE}. Choose another model."

    @staticmethod
    def one_unavailable(*, reason: str) -> str:
        return f"One method is not available: {reason}."

    @staticmethod
    def unavailable(*, count: int, model: str) -> str:
        return f"{count} methods are not available for {model}."

    @staticmethod
    def instead(*, reason: str, method: str) -> str:
        return f"{reason[0].upper()}{reason[1:]}: {method} instead."

    @staticmethod
    def unknown_model(*, name: object) -> str:
        return f"{name!r} is not one of the models in the table: choose one of the menu."


class Uploads:
    """Videos that come in."""

    @staticmethod
    def limits(*, size: str, length: str) -> str:
        return f"up to {size} and {length}"

    @staticmethod
    def too_large(*, name: str, most: str) -> str:
        return f"{name} is larger than the {most} that are allowed here: cut it, or start the app with a larger --max-size."

    @staticmethod
    def too_long(*, name: str, most: str) -> str:
        return f"{name} is longer than the {most} that are allowed here: cut it, or start the app with a larger --max-minutes."

    @staticmethod
    def too_many(*, most: int) -> str:
        return f"At most {most} videos are explained in turn: drop the others afterwards."

    @staticmethod
    def no_video(*, name: str) -> str:
        return f"{name} is not a supported video format: use MP4, MOV, WebM, MKV, AVI, GIF or MPEG."

    @staticmethod
    def no_picture(*, name: str) -> str:
        return f"{name} has no picture in it: choose another file."

    @staticmethod
    def minutes(*, duration: float) -> str:
        """Return a duration in words, such as "5 minutes"."""
        if duration < 60:
            return f"{duration:g} seconds"
        return "1 minute" if duration == 60 else f"{duration / 60:g} minutes"
