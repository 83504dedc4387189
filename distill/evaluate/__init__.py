"""Scores of base, student and teacher on benchmarks, with their intervals."""
