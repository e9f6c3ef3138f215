#!/bin/bash
# Wheels that do not belong together show here, not in the first student's notebook.
set -eu
modules="sklearn tensorboard"
case $FRAMEWORK in
    pytorch) modules="torch torchvision $modules" ;;
    tensorflow) modules="tensorflow $modules" ;;
esac
packages=$(echo /build/prefix/lib/python3*/site-packages)
for module in $modules; do
    TF_CPP_MIN_LOG_LEVEL=2 PYTHONPATH=$packages PYTHONDONTWRITEBYTECODE=1 \
        /opt/apportion/bin/python -c "import $module; print('$module', $module.__version__)"
done
