"""The one place that knows of a name which torchvision 0.17 took away.

basicsr 1.4.2, the last there is, imports `torchvision.transforms.functional_tensor`. What it wants from it lives on in
`torchvision.transforms.functional`, so that stands in under the old name while basicsr is imported, and no longer.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

OLD_NAME = "torchvision.transforms.functional_tensor"
_NEW_NAME = "torchvision.transforms.functional"


@contextmanager
def old_names() -> Iterator[None]:
    """Let `import basicsr` and `import gfpgan` succeed inside; their warnings about other old names are not ours.

    Raises ImportError when there is no torchvision at all.
    """
    lent = OLD_NAME not in sys.modules and not _is_there()
    if lent:
        sys.modules[OLD_NAME] = importlib.import_module(_NEW_NAME)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        if lent:
            sys.modules.pop(OLD_NAME, None)


def _is_there() -> bool:
    """True with torchvision before 0.17."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module(OLD_NAME)
    except ImportError:
        return False
    return True
