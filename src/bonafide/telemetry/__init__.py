"""Traces of the service, for an operator who asks for them by OpenTelemetry's variables.

Nothing here knows what a file holds: names, hashes, findings and verdicts stay out of traces.
Nothing is imported from OpenTelemetry, and nothing sent, unless the environment asks for it.
"""
