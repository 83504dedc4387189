"""What runs inside the sandbox, where there is nothing but the standard library."""
