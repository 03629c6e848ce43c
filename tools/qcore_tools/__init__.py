"""The console tools of qcore: a module or folder for each; what they share stands in `console`."""
