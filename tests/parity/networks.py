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


class Block(nn.Module):
    """torchvision's BasicBlock, which Debian does not package."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            convolution = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(convolution, nn.BatchNorm2d(outputs))

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        return torch.relu(self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))) + shortcut)


class ResNet18(nn.Module):
    """With the stem for small images, as model/resnet.h has it."""

    def __init__(self, model, classes):
        super().__init__()
        width = model["width"]
        self.conv1 = nn.Conv2d(1, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        inputs = width
        for layer in range(4):
            outputs = width << layer
            blocks = [Block(inputs, outputs, 2 if layer > 0 else 1), Block(outputs, outputs, 1)]
            self.add_module(f"layer{layer + 1}", nn.Sequential(*blocks))
            inputs = outputs
        self.fc = nn.Linear(inputs, classes)

    def forward(self, images):
        x = torch.relu(self.bn1(self.conv1(images)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean(dim=(2, 3)))


def network_of(model, image_size, classes):
    return ResNet18(model, classes) if model["name"] == "resnet18" else Network(model, image_size, classes)


def to_rubato_layout(tensor):
    """A convolution's weights are (out, height, width, in) in Rubato's files and (out, in, height, width) here."""
    return tensor.permute(0, 2, 3, 1) if tensor.dim() == 4 else tensor


def from_rubato_layout(tensor):
    return tensor.permute(0, 3, 1, 2) if tensor.dim() == 4 else tensor
