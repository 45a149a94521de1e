"""The command line: one file per verb, and what the verbs share.

Nothing else imports this folder. Nothing heavy is imported before a verb runs.
"""
