#!/bin/bash
# Runs as root in a throw-away container: makes the Python environment that a Dockerfile copies.
# /build holds the recipe and, in /build/site, what this machine needs to reach its packages.
set -eu
prefix=/opt/apportion
recipe=/build/recipe
trap 'rm -rf /build/site' EXIT
set -a
. /build/site/environment
set +a

if [ -x "$prefix/bin/python" ]; then
    # On a parent: only what it lacks, in a tree of its own, and nothing of it changed.
    target=/build/prefix
    "$prefix/bin/python" -m pip freeze --all >/build/site/parent.txt
    "$prefix/bin/python" -m pip install --no-compile --no-warn-script-location \
        --prefix "$target" --constraint /build/site/parent.txt -r "$recipe/requirements.txt"
else
    target=$prefix
    # The system's packages are visible so that `pip install --user` works as people expect.
    python3 -m venv --system-site-packages "$prefix"
    "$prefix/bin/python" -m pip install --no-compile --upgrade pip
    "$prefix/bin/python" -m pip install --no-compile -r "$recipe/requirements.txt"
    if [ -d /build/labextension ]; then
        "$prefix/bin/python" -m pip wheel --no-deps --wheel-dir /build/site/wheels /build/labextension
        "$prefix/bin/python" -m pip install --no-compile --no-deps --no-index \
            --find-links /build/site/wheels apportion-lab
    fi
    sed -E 's/ *#.*//; /^$/d' "$recipe/without.txt" >/build/site/without.txt
    if [ -s /build/site/without.txt ]; then
        "$prefix/bin/python" -m pip uninstall --yes -r /build/site/without.txt
    fi
fi

if [ -x "$recipe/after-install.sh" ]; then
    "$recipe/after-install.sh"
fi

mkdir -p "$target"
# The libraries' own test suites are a tenth of the image.
find "$target" -type d -name tests -path '*/site-packages/*' \
    \( -path '*/numpy/*' -o -path '*/scipy/*' -o -path '*/pandas/*' -o -path '*/sklearn/*' \
       -o -path '*/matplotlib/*' -o -path '*/pyarrow/*' \) -prune -exec rm -rf {} +
# Packages carry a file or two for newer releases of Python, which cannot be compiled here.
"$prefix/bin/python" -m compileall -q -j 0 -s "$target" -p "$prefix" "$target/lib" \
    || echo "Not compiled: the files named above"
