"""TensorBoard without TensorFlow, which it needs for nothing that is in a local folder.

Where TensorFlow is installed it is imported all the same: half a gigabyte of memory and many
seconds of the start. TensorBoard's own switch against that is the presence of this module.
"""

import sys
import types

sys.modules["tensorboard.compat.notf"] = types.ModuleType("tensorboard.compat.notf")

from tensorboard.main import run_main  # noqa: E402

run_main()
