"""The pure translation of Kubernetes objects into Avi objects; one file per aspect, no input or output.

`hosts`, `shards`, `routes` and `segroup` answer what a work key wants to stand on the controller, `status` what an
Ingress should say of itself, `owners` whose an object found on the controller is. `types` is what goes in and out.
"""
