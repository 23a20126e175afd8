"""A simulated Avi Controller: the REST API that a Kubernetes ingress controller uses, over real HTTP.

    app        the parts put together, the way of one call
    schema     names and types of fields, from the published models (schema.json)
    store      objects and their indexes          scope     tenants, clouds, what a name means
    writes     POST, PUT, PATCH, DELETE            reads     GET of collections
    vips       IP addresses of vsvips              sessions  login, cookies, CSRF
    boot       version, cluster, licence           seed      the world at start
    loading    recorded worlds in and out          foreign   objects of other owners
    audit      call log, faults, latency           control   the switches under /simulator

It is for development and tests: it forwards no traffic, forgets all at exit, and where nothing is known about a real
controller it does what clients are known to rely on (marked *assumed* in the modules).
"""
