"""From a clone to a running deployment: environment, engine, network, admin, supervisor."""
