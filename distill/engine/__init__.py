"""What turns a prompt into a trace: the in-process engine and, later, servers."""
