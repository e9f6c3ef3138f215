"""What Prometheus is told: state as of now, and what has happened since the service began."""
