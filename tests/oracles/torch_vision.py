"""torchvision's own networks with random weights that no layer can hide behind: what our ports are held against."""

import torch
from torch import nn


def _import_torchvision():
    """torchvision, also where its compiled operators do not fit the installed torch: networks need none of them."""
    try:
        import torchvision
    except RuntimeError:
        # Its import describes these two, and fails if they do not exist. The library must outlive the import.
        global _operators
        _operators = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            _operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision
    return torchvision


torchvision = _import_torchvision()

MEAN = torch.tensor([0.485, 0.456, 0.406], dtype=torch.float64).view(1, 3, 1, 1)
DEVIATION = torch.tensor([0.229, 0.224, 0.225], dtype=torch.float64).view(1, 3, 1, 1)

_INCEPTIONS = ("googlenet", "inception_v3")


def random_network(name: str, images: torch.Tensor, *, num_classes: int = 1000, seed: int = 0) -> nn.Module:
    """A network of torchvision in evaluation mode, with random weights and statistics.

    Weights keep the size of activations from layer to layer. Batch normalisation gets the statistics that it sees on
    some images, as after training, each then moved by up to a third, and scales and offsets of all sizes.

    Args:
        name: torchvision's name.
        images: RGB in [0, 1], (b, 3, h, w), two at least.
        num_classes: Number of logits.
        seed: Of all random numbers.

    Returns:
        The network, in the setting that torchvision gives to its pretrained weights.
    """
    # The two were trained elsewhere; torchvision renormalises the input of their pretrained weights.
    options = {"transform_input": True, "init_weights": False} if name in _INCEPTIONS else {}
    with torch.device("meta"):  # initialising what is overwritten anyway would take longer than all the rest
        network = torchvision.models.get_model(name, weights=None, num_classes=num_classes, **options)
    network = network.to_empty(device="cpu").requires_grad_(False)
    random = torch.Generator().manual_seed(seed)
    for key, parameter in network.named_parameters():
        if parameter.ndim > 1 and key.endswith("weight"):
            reach = (6 / parameter[0].numel()) ** 0.5
            parameter.uniform_(-reach, reach, generator=random)
        elif key.endswith("weight"):
            parameter.uniform_(0.3, 1.2, generator=random)
        else:
            parameter.uniform_(-0.3, 0.3, generator=random)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    if norms:
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = 1.0
        with torch.no_grad():
            logits_of(network.train(), images)
        for norm in norms:
            moved = torch.empty_like(norm.running_mean).uniform_(-1 / 3, 1 / 3, generator=random)
            norm.running_mean += moved * norm.running_var.sqrt()
            norm.running_var *= torch.empty_like(norm.running_var).uniform_(2 / 3, 4 / 3, generator=random)
    return network.eval()


def logits_of(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Logits of RGB images in [0, 1], normalised as torchvision's own preprocessing does."""
    return network((images - MEAN.to(images.dtype)) / DEVIATION.to(images.dtype))
