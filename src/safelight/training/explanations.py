"""What each field of a configuration means: the comment that stands behind it where it is declared.

So a field is explained in one place, and whoever prints a configuration can print the explanations with it.
"""

from __future__ import annotations

import ast
import inspect
import io
import textwrap
import tokenize
from functools import cache


@cache
def explanations(kind: type) -> dict[str, str]:
    """Name of a field -> the comment on the last line of its declaration; fields without one are left out."""
    found: dict[str, str] = {}
    for each in reversed(kind.__mro__[:-1]):  # what it inherits first; `object` declares nothing
        found |= _own(each)
    return found


def _own(kind: type) -> dict[str, str]:
    """Those of the fields that the class itself declares."""
    source = textwrap.dedent(inspect.getsource(kind))
    comments = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    declaration = ast.parse(source).body[0]
    assert isinstance(declaration, ast.ClassDef)
    return {
        field.target.id: comments[field.end_lineno]
        for field in declaration.body
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and field.end_lineno in comments
    }
