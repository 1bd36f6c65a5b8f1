"""HTTP: the JSON REST API, webhook receivers and health pages. Thin: an endpoint is one call into a package below.

The way of a request: `edge` (body bounds, measures) -> `context.authenticate` (bearer token, role by `access`) ->
`idempotency` for POST -> an endpoint in `resources/` -> an owner function in `core` -> commit -> the answer. Every
error becomes a document of `problems`; `openapi` tells which.
"""
