"""An image whose sessions may use sudo: the base, Debian's sudo, and one label."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path
from typing import Any

from hub_ext.images.catalogue import SUDO_LABEL

_DOCKERFILE = """\
FROM {base}
USER 0
COPY sudo.deb /tmp/
RUN PATH=$PATH:/usr/sbin:/sbin dpkg -i /tmp/sudo.deb && rm /tmp/sudo.deb \
    && echo 'work ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/work
USER 1000:1000
LABEL {label}=1 org.apportion.title="With sudo"
"""


def build_sudo_image(client: Any, base: str, tag: str, directory: Path) -> None:
    """``sudo`` comes from this machine's mirror: the base is of the same release."""
    directory.chmod(0o755)
    subprocess.run(["apt-get", "download", "sudo"], cwd=directory, check=True, capture_output=True)
    (package,) = directory.glob("sudo_*.deb")
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as archive:
        archive.add(package, "sudo.deb")
        dockerfile = _DOCKERFILE.format(base=base, label=SUDO_LABEL).encode()
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(dockerfile)
        archive.addfile(entry, io.BytesIO(dockerfile))
    context.seek(0)
    client.images.build(fileobj=context, custom_context=True, tag=tag, rm=True, forcerm=True)
