# What pyproject.toml says of the project: its name, version, console scripts and dependencies.
(builtins.fromTOML (builtins.readFile ../../pyproject.toml)).project
