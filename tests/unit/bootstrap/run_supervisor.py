"""The supervisor over the fake hub, as a process of its own: arguments are DATA and PORT."""

import os
import sys
from pathlib import Path

from hub_ext.bootstrap import deployment_processes, supervise
from hub_ext.bootstrap.failure import BootstrapError
from hub_ext.bootstrap.health import HealthCheck
from hub_ext.bootstrap.supervise import HubCommand, Supervisor

data, port = Path(sys.argv[1]), sys.argv[2]
supervise.HUB_PATIENCE_S = 1.0
supervise.LARGEST_BACKOFF_S = 0.1


def say(message: str) -> None:
    print(message, flush=True)


found, _ = deployment_processes.take_over(data)
say(f"took over {len(found)}")
supervisor = Supervisor(
    data=data,
    command=HubCommand(
        arguments=[sys.executable, str(Path(__file__).with_name("fake_hub.py"))],
        environment={
            **os.environ,
            "APPORTION_DATA": str(data),
            "PORT": port,
            deployment_processes.MARK: str(data),
        },
        directory=data,
        log=data / "hub.log",
    ),
    checks=[HealthCheck("hub", "127.0.0.1", int(port), "/")],
    on_ready=lambda: say("ready"),
    say=say,
    start_timeout_s=30.0,
)
try:
    sys.exit(supervisor.run())
except BootstrapError as error:
    say(f"{error.message}\n{error.way_out}")
    sys.exit(1)
