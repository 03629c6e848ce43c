"""The extension libraries of CEL that are built in: functions beyond the specification, as its authors define them."""
