#!/bin/bash
# An empty MLflow store for new homes: made once here, since the first use takes two seconds, and
# two sessions of one home that make it at the same time would spoil each other's tables.
set -eu
store=/home/work/mlruns
mkdir -p "$store"
MLFLOW_TRACKING_URI=sqlite:///$store/mlflow.db MLFLOW_DEFAULT_ARTIFACT_ROOT=$store \
MLFLOW_DISABLE_TELEMETRY=true \
    /opt/apportion/bin/python -c 'import mlflow; mlflow.search_experiments()'
mkdir -p /opt/apportion/share/apportion
mv "$store/mlflow.db" /opt/apportion/share/apportion/mlflow.db
chmod 644 /opt/apportion/share/apportion/mlflow.db
rm -rf /home/work
