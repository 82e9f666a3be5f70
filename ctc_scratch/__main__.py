"""python -m ctc_scratch: the same program as `ctc-scratch`."""

import sys

from .cli import main

sys.exit(main())
