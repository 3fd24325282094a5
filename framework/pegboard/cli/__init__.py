"""The command line: a file for each command group, imported when it is called."""
