"""Agreement with the grad-cam package, where it is right on video. Skipped where it is absent.

It is not among the development dependencies, because it brings another build of OpenCV that overwrites ours: install it with
``pip install --no-deps grad-cam ttach`` and ``pip install scikit-learn``.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from support.tiny_nets import clips, explained
from torch import nn

from vidcam.methods import score_cam
from vidcam.methods.core import Target
from vidcam.methods.lookup import get_method

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    grad_cam = pytest.importorskip("pytorch_grad_cam", reason="needs the grad-cam package")
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

# Its Grad-CAM++ divides by a sum that differs from the paper's eq. 19 by a small constant, its Eigen-CAM centres the features,
# and none of its methods survives operations in place after the layer.
SAME = {"gradcam": "GradCAM", "xgradcam": "XGradCAM", "hirescam": "HiResCAM", "layercam": "LayerCAM"}


@pytest.mark.parametrize("method", SAME)
@pytest.mark.parametrize("name", ["plain", "signed"])
def test_gradient_cams_are_those_of_grad_cam(method: str, name: str) -> None:
    net, inputs = explained(name), clips()
    layer = net.module.get_submodule(net.target_layer)
    with getattr(grad_cam, SAME[method])(model=net.module, target_layers=[layer]) as cam:
        seen = cam.activations_and_grads
        scores = seen(inputs)[:, 2]
        scores.sum().backward()
        activations, gradients = (x[0].detach().numpy() for x in (seen.activations, seen.gradients))
        theirs = cam.get_cam_image(inputs, layer, [ClassifierOutputTarget(2)] * 2, activations, gradients, False)
    net.module.zero_grad(set_to_none=True)
    ours = get_method(method).explain(net, inputs, [Target(2)]).maps[0][:, 0]
    if method == "layercam":
        theirs = np.maximum(theirs, 0)  # the paper's ReLU over the map
    np.testing.assert_allclose(ours, theirs, atol=(1e-3 if method == "xgradcam" else 1e-5) * np.abs(theirs).max())


class Flat(nn.Module):
    """A video network for one frame as a picture network; its trunk gives (B, C, h, w)."""

    def __init__(self, net):
        super().__init__()
        self.trunk = nn.Sequential(nn.Unflatten(1, (3, 1)), net.trunk, nn.Flatten(1, 2))
        self.fc = net.fc

    def forward(self, x):
        return self.fc(self.trunk(x).mean((2, 3)) ** 3)


def test_ablationcam_has_the_weights_of_grad_cam_on_one_frame():
    # grad-cam's own works on pictures only (it repeats the input as if it had 4 axes), hence one frame.
    class Cubed(type(explained("plain").module)):
        def forward(self, x):
            return self.fc(self.trunk(x).mean((2, 3, 4)) ** 3)

    net = explained("plain")
    net.module.__class__ = Cubed
    picture = clips(1)[:, :, 0]
    flat = Flat(net.module)
    acts = flat.trunk(picture).detach()
    with grad_cam.AblationCAM(flat, [flat.trunk]) as cam:
        weights = cam.get_cam_weights(picture, flat.trunk, [ClassifierOutputTarget(2)], acts, None)
    whole = float(net.logits(picture[:, :, None])[0, 2])
    (found,) = score_cam.ablationcam(net, picture[:, :, None], [Target(2)]).maps
    want = (torch.tensor(weights[0])[:, None, None] * acts[0]).sum(0) * whole
    np.testing.assert_allclose(found[0, 0, 0], want, rtol=0, atol=1e-4 * float(want.abs().max()))
