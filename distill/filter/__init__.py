"""What students learn from, and a reason for every trace that is not in it (`filter.filter_run`)."""
