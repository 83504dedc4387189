"""Judging traces: answers taken out of text, compared by kind, in workers with a deadline."""
