"""The commands that the workbench brings to the command line; each imports its work when it is called."""
