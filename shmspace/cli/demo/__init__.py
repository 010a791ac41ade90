"""`shmspace demo`: a pool of worker processes indexes a tree of text.

File names wait in a queue, of which the workers have leases, so that a worker that is killed loses nothing; what they
count comes back on a channel. The same words are then counted by one process alone, and both must agree.
"""
