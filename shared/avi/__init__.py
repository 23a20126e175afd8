"""The Avi Controller: how to reach it, how to log in, what its answers mean, how its objects refer to each other."""
