# What every kernel of the image's own Python begins with: %apportion, and MLflow's experiment.
c = get_config()  # noqa: F821
c.InteractiveShellApp.extensions.append("apportion_lab.magic")
