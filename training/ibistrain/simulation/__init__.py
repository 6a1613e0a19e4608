"""Simulated trajectories: a scripted annotator plays in the real environment.

The same episode, tool, prompts and overlay as at inference; only the policy is scripted.
`settings` say what is wanted, `plan` draws who is asked for what, `scenes` opens pictures and
truths, `annotator` decides each turn, `play` makes one episode of a task, `teacher` may reword
it, and `run` does them all and writes the shards (arXiv 2601.03054, section 3, for the method).
"""
