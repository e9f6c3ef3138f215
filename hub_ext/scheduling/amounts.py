"""How quantities read in a sentence: fGPU, cores, GiB, minutes, places in line."""

from __future__ import annotations

_ORDINALS = (
    "First",
    "Second",
    "Third",
    "Fourth",
    "Fifth",
    "Sixth",
    "Seventh",
    "Eighth",
    "Ninth",
    "Tenth",
)


def fgpu(gpu_milli: int, fgpu_per_gpu: int) -> str:
    """milli-GPU in the users' unit: "1.5", "0.25"."""
    milli = gpu_milli * fgpu_per_gpu
    if milli % 100 == 0:
        return f"{milli / 1000:.1f}"
    return f"{milli / 1000:g}"


def cores(cpu_milli: int) -> str:
    """milli-CPU as cores: "0.5", "8"."""
    return f"{cpu_milli / 1000:g}"


def gib(memory_mib: int) -> str:
    """MiB as GiB, or as MiB when it is less than one."""
    if abs(memory_mib) < 1024:
        return f"{memory_mib} MiB"
    return f"{memory_mib / 1024:.4g} GiB"


def quantity(resource: int, amount: int, fgpu_per_gpu: int) -> str:
    """An amount of one resource (order of ``accounts.RESOURCES``) with its unit."""
    if resource == 0:
        return f"{fgpu(amount, fgpu_per_gpu)} fGPU"
    if resource == 1:
        return f"{cores(amount)} CPU cores"
    return f"{gib(amount)} of memory"


def duration(seconds: float) -> str:
    """ "less than a minute", "about 12 minutes", "about 3 hours", "about 2 days"."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute"
    if minutes < 90:
        return f"about {minutes} minute{'s' * (minutes != 1)}"
    hours = round(minutes / 60)
    if hours < 36:
        return f"about {hours} hours"
    return f"about {round(hours / 24)} days"


def exact_duration(seconds: int) -> str:
    """ "48 hours", "90 minutes", "1 second"."""
    units = ((3600, "hour"), (60, "minute"), (1, "second"))
    unit_s, unit = next(each for each in units if seconds % each[0] == 0)
    count = seconds // unit_s
    return f"{count} {unit}{'s' * (count != 1)}"


def in_line(position: int, estimate_s: float | None) -> str:
    """ "Third in line; about 12 minutes." """
    if position <= len(_ORDINALS):
        place = _ORDINALS[position - 1]
    else:
        last = position % 10
        suffix = "th"
        if position % 100 not in (11, 12, 13):
            suffix = {1: "st", 2: "nd", 3: "rd"}.get(last, "th")
        place = f"{position}{suffix}"
    if estimate_s is None:
        return f"{place} in line."
    return f"{place} in line; {duration(estimate_s)}."
