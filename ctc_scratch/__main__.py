"""python -m ctc_scratch: the same program as `ctc-scratch`."""

import sys

from .commands.main import main

sys.exit(main())
