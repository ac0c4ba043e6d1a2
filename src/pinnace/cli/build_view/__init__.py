"""What a person sees of a build. `choose` says how it is shown, `plain` prints lines, `terminal` draws the live plan.

Loaded by `cli/verbs/build`; the live plan's files only when a person looks.
"""
