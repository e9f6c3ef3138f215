"""A stand-in for NVIDIA's MPS control program, found on the PATH: it shares nothing.

Started with ``-f`` it is the daemon and waits for commands; without, it sends its input to the
daemon of CUDA_MPS_PIPE_DIRECTORY, as the real one does. Files beside its pipes tell it to fail:
``refuse``, ``mute``; and ``commands`` says what it was asked.
"""

from __future__ import annotations

from pathlib import Path

PROGRAMS = Path(__file__).parent / "bin"
"""To be put on the PATH."""
