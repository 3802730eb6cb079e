"""The graph of targets: what a workspace or a script declares, before anything is looked up or run."""
