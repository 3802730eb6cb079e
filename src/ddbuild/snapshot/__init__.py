"""Answering without loading the workspace, where nothing has changed since a build that had nothing left to do.

    request    what was asked for: words, folders, labels
    record     the file: one for each way in which ddbuild is called in a workspace
    check      whether all that the answer depends on is as it was
    answer     the answer itself
    inputs     what the answer depends on, out of what was seen while loading and planning
    hazards    what it may depend on besides, which nobody sees: told by the code that ran,
               with the files of that (user_files), their names (scopes), what these lead to (follow),
               sets (orderless), and the list of what is allowed (repeatable)
    take       writing the file, after a build; with what goes on from an earlier one (merge)

The first four are imported on every start of the command line, and take nothing that takes time to import.
"""
