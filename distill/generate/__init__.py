"""Traces of a teacher for problems, each verified as it arrives, appended and resumable."""
