"""Recognition: what a file of tensors is, told by its content and never by its name.

`contents.py` finds the parts by the landmarks in `forms.py`; the `*_shapes.py` files infer each configuration from
shapes; `matching.py` looks in the catalogue; `prediction.py` tells what the UNet predicts.
"""

from safelight.weights.recognition.contents import Contents, Found, recognise
from safelight.weights.recognition.forms import Form, Kind, Layout

__all__ = ["Contents", "Form", "Found", "Kind", "Layout", "recognise"]
