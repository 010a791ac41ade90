"""`shmspace doctor`: what breaks people, one probe per function.

A probe reads from the paths and values that it is given, so tests can show it any machine, and returns `Finding`s.
"""
