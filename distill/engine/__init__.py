"""What turns a prompt into a trace: the in-process engine, vLLM, and servers of others."""
