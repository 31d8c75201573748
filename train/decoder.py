"""From a feature map back to pixels, for people to look at: what the part should look like.

No score depends on it. Each place of the map, with its eight neighbours, gives the block of pixels that it stands for,
by a linear map that is fitted to training images in one step (ridge regression), so it costs a training nothing.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganspect.config import Recipe
from ganspect.train.representation import grid_of

_NEIGHBOURS = 3
_RIDGE = 1e-2
_PLACES_AT_MOST = 100_000


class Decoder(nn.Module):
    """Feature maps (N,C,h,w) to pictures (N,channels,H,W) in [-1, 1], or a little beyond."""

    def __init__(self, recipe: Recipe) -> None:
        """Build it with weights of zero, for a recipe with a `backbone`."""
        super().__init__()
        if recipe.backbone is None:
            raise ValueError("the recipe names no backbone")
        self.stride, self.size_hw = recipe.backbone.stride, recipe.image.size_hw
        self.grid_hw = grid_of(recipe)
        values = recipe.image.channels * self.stride**2
        self.blocks = nn.Conv2d(recipe.backbone.channels, values, _NEIGHBOURS)
        self._set(torch.zeros_like(self.blocks.weight), torch.zeros(values))
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """Return pictures of feature maps."""
        blocks = self.blocks(_edged(x))
        picture: Tensor = functional.pixel_shuffle(blocks, self.stride)
        height, width = self.size_hw
        return picture[:, :, :height, :width]

    @torch.no_grad()
    def fit(self, x: Tensor, images: Tensor) -> None:
        """Fit the blocks of pixels to maps.

        Args:
            x: (N,C,h,w) maps.
            images: (N,channels,H,W) in [-1, 1], the images that the maps were made from.
        """
        places = self.grid_hw[0] * self.grid_hw[1]
        count = max(1, min(len(x), _PLACES_AT_MOST // places))
        inputs = functional.unfold(_edged(x[:count]), _NEIGHBOURS).transpose(1, 2).flatten(0, 1).double()
        inputs = torch.cat([inputs, torch.ones(len(inputs), 1, dtype=torch.float64)], 1)
        wanted = self._blocks_of(images[:count]).double()
        products = inputs.T @ inputs
        # All but the constant are held near zero.
        products.diagonal()[:-1].add_(max(_RIDGE, _RIDGE * float(products.diagonal()[:-1].mean())))
        solution = torch.linalg.solve(products, inputs.T @ wanted)
        self._set(solution[:-1].T.reshape(self.blocks.weight.shape), solution[-1])

    def _set(self, weight: Tensor, bias: Tensor) -> None:
        self.blocks.load_state_dict({"weight": weight, "bias": bias})

    def _blocks_of(self, images: Tensor) -> Tensor:
        """Return the pixels of each place, (N·P, channels·stride²), those beyond the edge as at the edge."""
        height, width = (places * self.stride for places in self.grid_hw)
        below, right = height - images.shape[2], width - images.shape[3]
        whole = functional.pad(images, (0, right, 0, below), mode="replicate")
        return functional.pixel_unshuffle(whole, self.stride).flatten(2).transpose(1, 2).flatten(0, 1)


def _edged(x: Tensor) -> Tensor:
    """Return maps with their outermost places repeated around them, (N,C,h+2,w+2)."""
    x = torch.cat([x[:, :, :1], x, x[:, :, -1:]], 2)
    return torch.cat([x[..., :1], x, x[..., -1:]], 3)
