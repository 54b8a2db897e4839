"""The methods that come with vidcam: one row of facts each. Importing this imports neither numpy nor torch.

To add a method, write its function and add its row here. A gradient CAM is a pure function ``(activations, gradients) ->
relevance`` and a row made by :func:`~vidcam.methods.method.gradient_cam_row`. :mod:`vidcam.methods.lookup` finds rows by name.
"""

from __future__ import annotations

from functools import partial

from vidcam.methods.method import Method, gradient_cam_row

__all__ = ["METHODS"]

_HERE = "vidcam.methods"

_cam = partial(Method, family="cam")

_input_gradient = partial(
    Method,
    family="input",
    requires=frozenset({"gradient"}),
    cost="one forward pass, and a full backward pass for each class",
    cells=f"{_HERE}.pixel_blocks:cells",
)

_perturbation = partial(Method, family="perturbation", signed=True)

_lrp = partial(
    Method,
    family="propagation",
    requires=frozenset({"gradient", "convolutional"}),
    cost="about two forward passes, and two backward passes for each class",
    signed=True,  # not complete: what the network's constants absorb is more than the last layer's bias
    adapter=f"{_HERE}.lrp:lrp",
    cells=f"{_HERE}.pixel_blocks:cells",
)

_SELVARAJU = "Selvaraju et al., Grad-CAM, ICCV 2017, https://arxiv.org/abs/1610.02391"
_BACH = (
    "Bach et al., On Pixel-Wise Explanations for Non-Linear Classifier Decisions by LRP, 2015, "
    "https://doi.org/10.1371/journal.pone.0130140"
)
_MONTAVON = "Montavon et al., Layer-Wise Relevance Propagation: An Overview, 2019, https://doi.org/10.1007/978-3-030-28954-6_10"
_KOHLBRENNER = (
    "Kohlbrenner et al., Towards Best Practice in Explaining Neural Network Decisions with LRP, IJCNN 2020, "
    "https://doi.org/10.1109/IJCNN48605.2020.9206975"
)

METHODS: tuple[Method, ...] = (
    # --- class activation maps without gradients ---
    _cam(
        name="cam",
        title="CAM in closed form",
        paper="Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016, https://arxiv.org/abs/1512.04150",
        requires=frozenset({"linear-head"}),
        cost="one forward pass, any number of classes",
        function=f"{_HERE}.cam:cam",
        signed=True,
        is_complete=True,
    ),
    _cam(
        name="cam-spread",
        title="CAM in closed form, spread over what each cell sees",
        paper="Zhou et al., CVPR 2016 (cam), spread as wide as the receptive field is effective: Luo et al., Understanding the "
        "Effective Receptive Field in Deep CNNs, NeurIPS 2016, https://arxiv.org/abs/1701.04128",
        requires=frozenset({"linear-head"}),
        cost="one forward pass, any number of classes",
        function=f"{_HERE}.cam:cam_spread",
        signed=True,
        is_complete=True,
    ),
    _cam(
        name="eigencam",
        title="Eigen-CAM (class independent)",
        paper="Muhammad & Yeasin, Eigen-CAM, IJCNN 2020, https://arxiv.org/abs/2008.00299",
        requires=frozenset({"features"}),
        cost="one forward pass and an eigenvalue problem",
        function=f"{_HERE}.cam:eigencam",
    ),
    # --- class activation maps with gradients ---
    gradient_cam_row(
        "gradcam",
        f"{_HERE}.gradient_cam:gradcam",
        title="Grad-CAM, gradients pooled over the volume",
        paper=_SELVARAJU,
    ),
    gradient_cam_row(
        "gradcam-slice",
        f"{_HERE}.gradient_cam:gradcam_slice",
        title="Grad-CAM, gradients pooled for each time slice",
        paper="Selvaraju et al., Grad-CAM, ICCV 2017, applied to each time cell, https://arxiv.org/abs/1610.02391",
    ),
    gradient_cam_row(
        "gradcam++",
        f"{_HERE}.gradient_cam:gradcam_plus_plus",
        title="Grad-CAM++",
        paper="Chattopadhyay et al., Grad-CAM++, WACV 2018, https://arxiv.org/abs/1710.11063",
        signed=False,
    ),
    gradient_cam_row(
        "xgradcam",
        f"{_HERE}.gradient_cam:xgradcam",
        title="XGrad-CAM",
        paper="Fu et al., Axiom-based Grad-CAM, BMVC 2020, https://arxiv.org/abs/2008.02312",
    ),
    gradient_cam_row(
        "hirescam",
        f"{_HERE}.gradient_cam:hirescam",
        title="HiResCAM",
        paper="Draelos & Carin, HiResCAM, 2020, https://arxiv.org/abs/2011.08891",
    ),
    gradient_cam_row(
        "layercam",
        f"{_HERE}.gradient_cam:layercam",
        title="LayerCAM",
        paper="Jiang et al., LayerCAM, IEEE TIP 2021, https://doi.org/10.1109/TIP.2021.3089943",
        signed=False,
    ),
    # --- gradients of the input ---
    _input_gradient(
        name="gradient",
        title="Gradient of the score (saliency)",
        paper="Simonyan et al., Deep Inside Convolutional Networks, ICLR workshop 2014, https://arxiv.org/abs/1312.6034",
        function=f"{_HERE}.input_gradients:gradient",
    ),
    _input_gradient(
        name="gradientxinput",
        title="gradient × input",
        paper="Shrikumar et al., Not Just a Black Box, 2016, https://arxiv.org/abs/1605.01713",
        function=f"{_HERE}.input_gradients:gradientxinput",
        signed=True,
    ),
    _input_gradient(
        name="guided-backprop",
        title="Guided backpropagation (networks of ReLUs)",
        paper="Springenberg et al., Striving for Simplicity, ICLR workshop 2015, https://arxiv.org/abs/1412.6806",
        function=f"{_HERE}.input_gradients:guided_backprop",
    ),
    _input_gradient(
        name="guided-gradcam",
        title="Guided Grad-CAM (networks of ReLUs)",
        paper=_SELVARAJU,
        cost="two forward passes, and a full backward pass for each class",
        function=f"{_HERE}.input_gradients:guided_gradcam",
    ),
    _input_gradient(
        name="integrated-gradients",
        title="Integrated gradients from the mean colour",
        paper="Sundararajan et al., Axiomatic Attribution for Deep Networks, ICML 2017, https://arxiv.org/abs/1703.01365",
        cost="32 forward passes, and 32 full backward passes for each class",
        function=f"{_HERE}.input_gradients:integrated_gradients",
        signed=True,
    ),
    _input_gradient(
        name="smoothgrad",
        title="SmoothGrad of Gradient of the score (saliency)",
        paper="Smilkov et al., SmoothGrad, 2017, https://arxiv.org/abs/1706.03825",
        cost="16 times that of gradient",
        function=f"{_HERE}.noise_tunnel:smoothgrad",
        wraps=f"{_HERE}.noise_tunnel:noise_tunnel",
        random=True,
    ),
    _input_gradient(
        name="vargrad",
        title="VarGrad of Gradient of the score (saliency)",
        paper="Adebayo et al., Local Explanation Methods Lack Sensitivity to Parameter Values, 2018, "
        "https://arxiv.org/abs/1810.03307",
        cost="16 times that of gradient",
        function=f"{_HERE}.noise_tunnel:vargrad",
        wraps=f"{_HERE}.noise_tunnel:variance_tunnel",
        random=True,
    ),
    # --- attention ---
    Method(
        name="attention-rollout",
        title="Attention rollout (class independent)",
        paper="Abnar & Zuidema, Quantifying Attention Flow in Transformers, ACL 2020, https://arxiv.org/abs/2005.00928",
        family="attention",
        requires=frozenset({"attention"}),
        cost="one forward pass, one clip at a time",
        function=f"{_HERE}.attention:attention_rollout",
    ),
    Method(
        name="attention-gradient",
        title="Attention weighted by its gradient",
        paper="Chefer et al., Generic Attention-model Explainability, ICCV 2021, https://arxiv.org/abs/2103.15679",
        family="attention",
        requires=frozenset({"attention", "gradient"}),
        cost="two forward passes, and a full backward pass for each class, one clip at a time",
        function=f"{_HERE}.attention:attention_gradient",
    ),
    Method(
        name="attention-pooler",
        title="Attention of the query that pools (class independent)",
        paper="Assran et al., V-JEPA 2, 2025, https://arxiv.org/abs/2506.09985",
        family="attention",
        requires=frozenset({"attentive-pooler"}),
        cost="one forward pass, one clip at a time",
        function=f"{_HERE}.attention:attention_pooler",
    ),
    # --- layer-wise relevance propagation: one row for each composite of rules ---
    _lrp(name="lrp", title="LRP, EpsilonPlus", paper=_KOHLBRENNER, function=f"{_HERE}.lrp.composites:EPSILON_PLUS"),
    _lrp(
        name="lrp-0",
        title="LRP-0: gradient x input of the network without saturation",
        paper=_BACH,
        function=f"{_HERE}.lrp.composites:ZERO",
    ),
    _lrp(
        name="lrp-epsilon",
        title="LRP-epsilon, a quarter of each layer's size",
        paper=_MONTAVON,
        function=f"{_HERE}.lrp.composites:EPSILON",
    ),
    _lrp(name="lrp-gamma", title="LRP-gamma, a quarter", paper=_MONTAVON, function=f"{_HERE}.lrp.composites:GAMMA"),
    _lrp(
        name="lrp-alpha2beta1",
        title="LRP, EpsilonAlpha2Beta1",
        paper=_KOHLBRENNER,
        function=f"{_HERE}.lrp.composites:EPSILON_ALPHA2_BETA1",
    ),
    _lrp(
        name="lrp-zbox",
        title="LRP, EpsilonPlus with z-box at the pixels",
        paper="Montavon et al., Deep Taylor Decomposition, 2017, https://doi.org/10.1016/j.patcog.2016.11.008",
        function=f"{_HERE}.lrp.composites:EPSILON_PLUS_Z_BOX",
    ),
    _lrp(
        name="lrp-flat",
        title="LRP, EpsilonPlus with the flat rule at the pixels",
        paper="Lapuschkin et al., Unmasking Clever Hans Predictors, 2019, https://doi.org/10.1038/s41467-019-08987-4",
        function=f"{_HERE}.lrp.composites:EPSILON_PLUS_FLAT",
    ),
    _lrp(
        name="lrp-attention",
        title="AttnLRP: LRP through attention",
        paper="Achtibat et al., AttnLRP, ICML 2024, https://arxiv.org/abs/2402.05602",
        requires=frozenset({"gradient", "attention"}),
        function=f"{_HERE}.lrp.composites:ATTENTION",
    ),
    # --- perturbation ---
    _perturbation(
        name="occlusion",
        title="Occlusion by space-time blocks",
        paper="Zeiler & Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014, https://arxiv.org/abs/1311.2901",
        requires=frozenset(),
        cost="197 forward passes, any number of classes",
        function=f"{_HERE}.perturbation:occlusion",
        cells=f"{_HERE}.perturbation:occlusion_cells",
    ),
    _perturbation(
        name="temporal-mask",
        title="Frozen moments (when, not where)",
        paper="Zeiler & Fergus, ECCV 2014, applied to moments that stand still, https://arxiv.org/abs/1311.2901",
        requires=frozenset(),
        cost="9 forward passes, any number of classes",
        function=f"{_HERE}.perturbation:temporal_mask",
        cells=f"{_HERE}.perturbation:temporal_cells",
    ),
    _perturbation(
        name="rise",
        title="RISE with video masks",
        paper="Petsiuk et al., RISE, BMVC 2018, https://arxiv.org/abs/1806.07421",
        requires=frozenset(),
        cost="501 forward passes, any number of classes",
        function=f"{_HERE}.perturbation:rise",
        cells=f"{_HERE}.pixel_blocks:cells",
        random=True,
    ),
    _perturbation(
        name="scorecam",
        title="Score-CAM",
        paper="Wang et al., Score-CAM, CVPR workshops 2020, https://arxiv.org/abs/1910.01279",
        requires=frozenset({"features"}),
        cost="66 forward passes (for each pathway), any number of classes",
        function=f"{_HERE}.score_cam:scorecam",
    ),
    _perturbation(
        name="ablationcam",
        title="Ablation-CAM",
        paper="Desai & Ramaswamy, Ablation-CAM, WACV 2020, https://doi.org/10.1109/WACV45572.2020.9093360",
        requires=frozenset({"features"}),
        cost="a pass through the head for each channel, and a forward pass for each dozens of them; any number of classes",
        function=f"{_HERE}.score_cam:ablationcam",
    ),
)
