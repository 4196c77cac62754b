"""A small transformer in PyTorch: drawn by a plan, trained some steps, the same in every run and every process."""

import torch
from torch import nn

import fastinit as fi
import fastinit.torch

WIDTH, LAYERS, VOCABULARY = 64, 4, 96
PLAN = fi.Plan(
    [
        ("embed.weight", {"scheme": "normal", "std": 0.02}),
        ("layers.{layer}.{q,k,v,up}.weight", {"scheme": "normal", "std": 0.02}),
        ("layers.{layer}.{out,down}.weight", {"scheme": "normal", "std": "0.02 / sqrt(2 * n_layers)"}),
        ("**", {"role": "RMSNorm.weight", "scheme": "ones"}),
        ("head.weight", {"scheme": "truncated_normal", "std": "1 / sqrt(fan_in)", "layout": "oi"}),
    ],
    variables={"n_layers": LAYERS},
)


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.RMSNorm(WIDTH), nn.RMSNorm(WIDTH)
        self.q, self.k, self.v, self.out = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(4))
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH, bias=False), nn.Linear(4 * WIDTH, WIDTH, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.first(x)
        q, k, v = (f(h).unflatten(-1, (4, -1)).transpose(1, 2) for f in (self.q, self.k, self.v))
        h = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(h.transpose(1, 2).flatten(-2))
        return x + self.down(torch.relu(self.up(self.second(x))) ** 2)


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, WIDTH)
        self.layers = nn.Sequential(*(Layer() for _ in range(LAYERS)))
        self.norm, self.head = nn.RMSNorm(WIDTH), nn.Linear(WIDTH, VOCABULARY, bias=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.layers(self.embed(tokens))))


with torch.device("meta"):  # nothing is allocated, nothing drawn
    model = Transformer()
fastinit.torch.init_(model, PLAN, seed=0)  # allocated once, drawn once

tokens = (torch.arange(8 * 33).reshape(8, 33) * 7) % VOCABULARY  # each token tells the next
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
for step in range(31):
    loss = nn.functional.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    if step % 10 == 0:
        print(f"step {step:2}  loss {loss.item():.2f}")
print("it learns:", loss.item() < 1)
