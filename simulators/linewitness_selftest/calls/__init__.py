"""System calls of an operation on the journal fail one by one."""
