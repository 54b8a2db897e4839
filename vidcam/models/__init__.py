"""The models that can be explained: their facts, their networks and their weights.

``list_models()`` gives the names, ``register_model(spec)`` adds a model. Importing this package does not import torch.
"""

from __future__ import annotations

from vidcam.models.spec import Attention, Head, ModelSpec, Weights
from vidcam.models.table import list_models, register_model

__all__ = ["Attention", "Head", "ModelSpec", "Weights", "list_models", "register_model"]
