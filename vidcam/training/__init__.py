"""Teaching a network: vidcam's own from drawn people, or any registered one from a folder of your clips."""

from vidcam.training.config import TrainConfig
from vidcam.training.run import Result, train
from vidcam.training.trainer import Progress

__all__ = ["Progress", "Result", "TrainConfig", "train"]
