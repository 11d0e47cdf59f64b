"""Reading a stranger's script into a task folder, without running or importing it.

`draft.read` turns a script into a `Draft`: what can be tuned, what is measured, and how a value reaches the script.
`manifest.write` writes the draft as a commented `task.toml`. One module per style of script; `run_with` is the small launcher that sets what
a script holds as a literal. This file imports nothing, so that the launcher is quick to import.

Not covered: parameters that are computed or read by code in another module, LightningCLI and jsonargparse, notebooks, and
languages other than Python and shell.
"""
