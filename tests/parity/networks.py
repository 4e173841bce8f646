"""The networks of model/architectures.cc in PyTorch, layer by layer under the same names."""

import torch
from torch import nn
from torch.nn import functional

ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid}


class Network(nn.Module):
    """Convolutions, each with activation and a 2x2 pool; then dense layers."""

    def __init__(self, model, image_size, classes, channels):
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

        self.convolutions, self.dense = [], []
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
    """With either stem, as model/resnet.h has it."""

    def __init__(self, model, channels, classes):
        super().__init__()
        width, large = model["width"], model.get("stem") == "imagenet"
        self.conv1 = nn.Conv2d(channels, width, 7, 2, 3, bias=False) if large else nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, 2, 1) if large else nn.Identity()
        inputs = width
        for layer in range(4):
            outputs = width << layer
            blocks = [Block(inputs, outputs, 2 if layer > 0 else 1), Block(outputs, outputs, 1)]
            self.add_module(f"layer{layer + 1}", nn.Sequential(*blocks))
            inputs = outputs
        self.fc = nn.Linear(inputs, classes)
        for module in self.modules():  # torchvision's first values
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images):
        x = self.maxpool(torch.relu(self.bn1(self.conv1(images))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean(dim=(2, 3)))


class Recurrent(nn.Module):
    """model/recurrent.h: over (samples, positions, features), or an image's rows."""

    def __init__(self, model, features, classes):
        super().__init__()
        kind = nn.LSTM if model["name"] == "lstm" else nn.GRU
        both = model.get("bidirectional", False)
        self.rnn = kind(features, model["width"], num_layers=model["layers"], batch_first=True, bidirectional=both)
        self.fc = nn.Linear((2 if both else 1) * model["width"], classes)

    def forward(self, rows):
        last = self.rnn(rows.flatten(0, 1) if rows.dim() == 4 else rows)[1]
        last = last[0] if isinstance(last, tuple) else last  # an LSTM has its inner states, too
        return self.fc(torch.cat(list(last[-2 if self.rnn.bidirectional else -1 :]), dim=1))


class Tables(nn.Module):
    """Of tokens and positions, under the names that Rubato gives them."""

    def __init__(self, rows, positions, width):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(rows, width))
        self.position_weight = nn.Parameter(torch.empty(positions, width))
        nn.init.normal_(self.weight, std=0.02)
        nn.init.normal_(self.position_weight, std=0.02)

    def forward(self, tokens):
        return functional.embedding(tokens, self.weight) + self.position_weight[: tokens.shape[1]]


class Attention(nn.Module):
    """Queries, keys and values from one product; PyTorch's own kernel where it has one."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.c_attn, self.c_proj = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        samples, positions, width = x.shape
        q, k, v = (part.view(samples, positions, self.heads, -1).transpose(1, 2) for part in self.c_attn(x).split(width, 2))
        if hasattr(functional, "scaled_dot_product_attention"):
            y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            mask = torch.full((positions, positions), float("-inf"), dtype=x.dtype).triu(1)
            y = (q @ k.transpose(-2, -1) * (width // self.heads) ** -0.5 + mask).softmax(-1) @ v
        return self.c_proj(y.transpose(1, 2).reshape(samples, positions, width))


class Mlp(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.c_fc, self.c_proj = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        return self.c_proj(functional.gelu(self.c_fc(x)))


class TransformerBlock(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.ln_1, self.attn = nn.LayerNorm(width), Attention(width, heads)
        self.ln_2, self.mlp = nn.LayerNorm(width), Mlp(width)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class Gpt(nn.Module):
    """model/gpt.h; scores are (samples, classes, positions), as cross_entropy takes them."""

    def __init__(self, model, positions, classes):
        super().__init__()
        width = model["width"]
        self.wte = Tables(classes, positions, width)
        self.h = nn.Sequential(*(TransformerBlock(width, model["heads"]) for _ in range(model["layers"])))
        self.ln_f, self.lm_head = nn.LayerNorm(width), nn.Linear(width, classes)
        for name, module in self.named_modules():  # GPT-2's first values, but for biases
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.02 / (2 * model["layers"]) ** (0.5 if name.endswith("c_proj") else 0))

    def forward(self, tokens):
        return self.lm_head(self.ln_f(self.h(self.wte(tokens)))).transpose(1, 2)


def network_of(model, size, classes, channels=1):
    """`size`: rows and columns of an image, features of a position, or positions of a text. A table's columns are channels."""
    if model["name"] == "resnet18":
        return ResNet18(model, channels, classes)
    if model["name"] in ("lstm", "gru"):
        return Recurrent(model, size, classes)
    return Gpt(model, size, classes) if model["name"] == "gpt" else Network(model, size, classes, channels)


def to_rubato_layout(tensor):
    """A convolution's weights are (out, height, width, in) in Rubato's files and (out, in, height, width) here."""
    return tensor.permute(0, 2, 3, 1) if tensor.dim() == 4 else tensor


def from_rubato_layout(tensor):
    return tensor.permute(0, 3, 1, 2) if tensor.dim() == 4 else tensor
