"""The hub: a model's id becomes its files in the cache that diffusers and transformers share.

`fetch` takes what the cache holds and asks the hub only for the rest; `refresh` asks for the newest. Below them, in the
order of use: `address.py` reads the id, `selection.py` says which files are needed, `cache.py` looks what is there,
`repository.py` and `transfer.py` get the rest, `refusals.py` says in a sentence what went wrong.

huggingface_hub does the talking, and is imported only when a model is asked for.
"""

from safelight.weights.hub.address import Address
from safelight.weights.hub.fetching import fetch, refresh

__all__ = ["Address", "fetch", "refresh"]
