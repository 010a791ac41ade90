"""`shmspace demo`: a pool of worker processes indexes a tree of text through two channels.

File names go out on one channel, each to one worker; what a worker counted comes back on another. The same words are
then counted by one process alone, and both must agree.
"""
