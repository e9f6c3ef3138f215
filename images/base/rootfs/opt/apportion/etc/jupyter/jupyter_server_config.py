# The image's web applications: apps.d/NAME.json is served under the session's own URL at NAME/.
# One file each, so that an image built on this one adds its own.
import json
import sys
from pathlib import Path

c = get_config()  # noqa: F821
for path in sorted(Path(__file__).with_name("apps.d").glob("*.json")):
    try:
        c.ServerProxy.servers.update({path.stem: json.loads(path.read_text("utf-8"))})
    except (OSError, ValueError) as error:  # the server and the other apps do not suffer from it
        print(f"{path}: {error}", file=sys.stderr)
