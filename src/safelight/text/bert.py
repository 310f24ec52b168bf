"""The text transformer of the latent-diffusion paper (Rombach et al. 2022, section 4.3.1, "BERT").

Of BERT it has the tokenizer and the shape: an encoder in which every token sees every other. Its layers normalise
first, its queries, keys and values have no bias, and it was trained from scratch together with the UNet.
"""

from __future__ import annotations

from einops import rearrange
from torch import Tensor, nn

from safelight.configs import BertConfig
from safelight.errors import BadInput
from safelight.layers.attention import attend
from safelight.text.transformer import Perceptron

EXPANSION = 4  # of the width, inside the perceptrons


class BertAttention(nn.Module):
    """Self-attention whose heads together may be narrower than the tokens (Vaswani et al. 2017, equation 1)."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.heads = config.heads
        inner = config.heads * config.head_width
        self.query = nn.Linear(config.width, inner, bias=False)
        self.key = nn.Linear(config.width, inner, bias=False)
        self.value = nn.Linear(config.width, inner, bias=False)
        self.out = nn.Linear(inner, config.width)

    def forward(self, x: Tensor) -> Tensor:
        """(b, n, width) -> (b, n, width)."""
        q, k, v = (
            rearrange(projected, "b n (h d) -> b h n d", h=self.heads)
            for projected in (self.query(x), self.key(x), self.value(x))
        )
        return self.out(rearrange(attend(q, k, v, causal=False), "b h n d -> b n (h d)"))


class BertLayer(nn.Module):
    """Self-attention and perceptron, each normalised first and added."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width)
        self.attention = BertAttention(config)
        self.norm2 = nn.LayerNorm(config.width)
        self.perceptron = Perceptron(config.width, EXPANSION * config.width, "gelu")

    def forward(self, x: Tensor) -> Tensor:
        """(b, n, width) -> (b, n, width)."""
        x = x + self.attention(self.norm1(x))
        return x + self.perceptron(self.norm2(x))


class BertEncoder(nn.Module):
    """Token ids -> one vector for each token."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config
        self.token_embedding = nn.Embedding(config.vocabulary, config.width)
        self.position_embedding = nn.Embedding(config.length, config.width)
        self.layers = nn.ModuleList(BertLayer(config) for _ in range(config.layers))
        self.final_norm = nn.LayerNorm(config.width)
        # Published with the rest and read by nobody: held, so that a file comes back whole.
        self.logits = nn.Linear(config.width, config.vocabulary)

    def forward(self, token_ids: Tensor) -> Tensor:
        """(b, n) int64 -> (b, n, width) hidden states after the final norm: what the UNet reads.

        Padding is read like any other token. Raises BadInput where n exceeds the number of positions.
        """
        length = token_ids.shape[1]
        if length > self.config.length:
            raise BadInput(f"The text encoder got {length} tokens; it has {self.config.length} positions.")
        x = self.token_embedding(token_ids) + self.position_embedding.weight[:length]
        for layer in self.layers:
            x = layer(x)
        return self.final_norm(x)
