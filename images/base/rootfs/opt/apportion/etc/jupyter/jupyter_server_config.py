# The image's web applications: apps.d/NAME.json is served under the session's own URL at NAME/.
# One file each, so that an image built on this one adds its own.
import json
import sys
from pathlib import Path

# What an app prints goes where its card in JupyterLab finds it, the last start's and a megabyte of
# those before. One that ends soon after its start is started again by jupyter-server-proxy at
# once, and here after a pause. In a group of its own: what an app that was killed has left behind
# would keep its port. Whose group that was is known by the start of the process that led it. No
# braces: jupyter-server-proxy fills in what stands in them.
STARTING = """
mkdir -p -m 700 /tmp/apportion-apps && cd /tmp/apportion-apps || exit 1
[ -z "$(find "$0.pid" -newermt '-10 seconds' 2>/dev/null)" ] || sleep 5
began() ( cut -d ' ' -f 22 "/proc/$1/stat" 2>/dev/null )
if read -r before since 2>/dev/null < "$0.pid"; then
    now=$(began "$before")
    [ -n "$now" ] && [ "$now" != "$since" ] || kill -9 "-$before" 2>/dev/null
fi
[ "$(wc -c 2>/dev/null < "$0.log" || echo 0)" -lt 1000000 ] || : > "$0.log"
echo $$ "$(began $$)" > "$0.pid"
cd "$HOME" && exec setsid "$@" >> "/tmp/apportion-apps/$0.log" 2>&1
"""
# With the extension its cards show how far an app is; without it jupyter-server-proxy has its own.
OWN_CARDS = Path(sys.prefix, "share", "jupyter", "labextensions", "apportion-lab").is_dir()

c = get_config()  # noqa: F821
for path in sorted(Path(__file__).with_name("apps.d").glob("*.json")):
    try:
        app = json.loads(path.read_text("utf-8"))
        app["command"] = ["/bin/sh", "-c", STARTING, path.stem, *app["command"]]
        app["launcher_entry"] = {**app.get("launcher_entry", {}), "enabled": not OWN_CARDS}
        c.ServerProxy.servers.update({path.stem: app})
    except (OSError, ValueError, KeyError, TypeError) as error:  # the other apps do not suffer
        print(f"{path}: {error}", file=sys.stderr)
