"""The networks of model/architectures.cc in PyTorch, layer by layer under the same names."""

import torch
from torch import nn
from torch.nn import functional

ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid}


class Network(nn.Module):
    """Convolutions, each with activation and a 2x2 pool; then dense layers."""

    def __init__(self, model, image_size, classes):
        super().__init__()
        # (channels, kernel, padding) of each convolution; widths of the hidden dense layers.
        convolutions, widths = {
            "logistic": lambda: ([], []),
            "mlp": lambda: ([], model["hidden"]),
            "lenet5": lambda: ([(6, 5, 2), (16, 5, 0)], [120, 84]),
            "cnn": lambda: ([(channels, 3, 1) for channels in model["channels"]], [model["dense"]]),
        }[model["name"]]()
        self.activation = ACTIVATIONS[model["activation"]]
        self.pool = functional.max_pool2d
        if model["name"] == "lenet5" and model["activation"] != "relu":
            self.pool = functional.avg_pool2d
        self.dropout = model["dropout"]

        self.convolutions, self.dense, channels = [], [], 1
        for index, (outputs, kernel, padding) in enumerate(convolutions, 1):
            self.convolutions.append(nn.Conv2d(channels, outputs, kernel, padding=padding))
            self.add_module(f"conv{index}", self.convolutions[-1])
            channels, image_size = outputs, (image_size + 2 * padding - kernel + 1) // 2
        inputs = channels * image_size**2
        for index, outputs in enumerate([*widths, classes], 1):
            self.dense.append(nn.Linear(inputs, outputs))
            self.add_module(f"fc{index}" if widths else "fc", self.dense[-1])
            inputs = outputs

    def forward(self, images):
        x = images
        for layer in self.convolutions:
            x = self.pool(self.activation(layer(x)), 2)
        x = x.permute(0, 2, 3, 1).flatten(1)  # channels last, as Rubato lays them
        for layer in self.dense[:-1]:
            x = self.activation(layer(x))
        return self.dense[-1](functional.dropout(x, self.dropout, self.training))


def to_rubato_layout(tensor):
    """A convolution's weights are (out, height, width, in) in Rubato's files and (out, in, height, width) here."""
    return tensor.permute(0, 2, 3, 1) if tensor.dim() == 4 else tensor


def from_rubato_layout(tensor):
    return tensor.permute(0, 3, 1, 2) if tensor.dim() == 4 else tensor
