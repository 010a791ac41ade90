"""Measures shmspace against other ways of passing messages between processes (see README.md)."""
