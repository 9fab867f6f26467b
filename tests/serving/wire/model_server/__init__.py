"""A model server for tests: the API of TensorFlow Serving over gRPC and REST, on TensorFlow's own sessions.

It follows release 2.20.0, as its code was seen to answer: names, status codes, what its JSON parser takes, what
batching refuses and what hangs it, when callers are refused for want of threads, how versions are loaded and tried
again, and how they go.
Unlike there, the versions of one model that are found together are waited for together.
It loads SavedModels with TensorFlow alone and knows nothing of who wrote them.
"""
