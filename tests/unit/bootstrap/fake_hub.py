"""A stand-in for the hub: starts a proxy, a service and a user server, each in its own session.

``BEHAVIOUR`` says what goes wrong: ``dies-at-start``, ``dies-again`` (after the first start
that became healthy), ``deaf`` (ignores SIGTERM). Pids go to ``DATA/NAME.pid``.
"""

import http.server
import os
import signal
import subprocess
import sys
from pathlib import Path

data = Path(os.environ["APPORTION_DATA"])
behaviour = os.environ.get("BEHAVIOUR", "")
starts = data / "starts.txt"


def write_pid(name: str, pid: int) -> None:
    draft = data / f"{name}.new"
    draft.write_text(str(pid))
    draft.replace(data / f"{name}.pid")


def start(name: str, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    child = subprocess.Popen(["sleep", "1000"], env=environment, start_new_session=True)
    write_pid(name, child.pid)
    return child


with starts.open("a") as stream:
    stream.write(f"{os.getpid()}\n")
print("the hub says hello", flush=True)
again = len(starts.read_text().splitlines()) > 1
if behaviour == "dies-at-start" or (behaviour == "dies-again" and again):
    print("ImportError: no module named nonsense", flush=True)
    sys.exit(3)

plain = {"PATH": os.environ["PATH"]}
service = {
    **plain,
    "JUPYTERHUB_SERVICE_NAME": "apportion",
    "JUPYTERHUB_SERVICE_PREFIX": "/services/apportion/",
}
user_server = {**plain, "JUPYTERHUB_SERVICE_PREFIX": "/user/ada/"}
parts = [start("proxy", dict(os.environ)), start("service", service)]
start("user", user_server)


def stop(*_: object) -> None:
    for part in parts:
        part.terminate()
    os._exit(0)


signal.signal(signal.SIGTERM, signal.SIG_IGN if behaviour == "deaf" else stop)


class Health(http.server.BaseHTTPRequestHandler):
    """Healthy from the first answer on."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


http.server.HTTPServer.allow_reuse_address = True
server = http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Health)
write_pid("hub", os.getpid())
server.serve_forever()
