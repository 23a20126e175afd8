"""A Kubernetes API server to develop and test against: the kinds that ako-celery reads and writes, over a real port.

Not a cluster: there are no controllers, no nodes and no admission beyond what the API server itself would do.
"""
