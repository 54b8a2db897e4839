"""Training: vidcam's own network on synthetic people, or any registered one on a folder of your clips."""

from vidcam.training.config import TrainConfig
from vidcam.training.run import Result, train
from vidcam.training.trainer import Progress

__all__ = ["Progress", "Result", "TrainConfig", "train"]
