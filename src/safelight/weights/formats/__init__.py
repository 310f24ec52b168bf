"""Files of tensors that others wrote, told apart by their content and read so that nothing in them can run.

`read_file` gives the named tensors of a file, `read_tree` the plain structure of a small one. Below them, in the order
of use: `content.py` tells the format, `mapped.py` makes tensors of a file without reading it, `safetensors_file.py`,
`zip_file.py` and `legacy_file.py` know one format each. The last two hand their pickle to `machine.py`, whose
vocabulary is the closed list in `names.py`. `eight_bits.py` packs the matrices of a safetensors file and unpacks them.
"""

from safelight.weights.formats.content import Format
from safelight.weights.formats.eight_bits import pack_rows
from safelight.weights.formats.tensor_file import TensorFile, read_file, read_tree

__all__ = ["Format", "TensorFile", "pack_rows", "read_file", "read_tree"]
