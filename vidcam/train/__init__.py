"""Teaching a network: vidcam's own from drawn people, or any registered one from a folder of your clips."""

from vidcam.train.recipe import Recipe
from vidcam.train.run import Result, train
from vidcam.train.trainer import Progress

__all__ = ["Progress", "Recipe", "Result", "train"]
