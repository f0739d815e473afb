"""The services over HTTP: one shell around every server, one module with the protocol of each.

The contract between the shell (``server``, ``settings``, ``limits``, ``metrics``, ``health``, ``logging``, ``workers``)
and a protocol's module (``fusequote.services.http.provisioning``, ``fusequote.services.http.attestation``):

* The module has ``create_app(context: ServiceContext) -> fastapi.FastAPI``: the protocol's routes and the protocol's
  own answers to errors, nothing else. It makes the application with
  :func:`fusequote.services.http.server.new_application`, so that all have the same OpenAPI description.
* It may have ``Settings``, a subclass of :class:`fusequote.services.http.settings.ServerSettings` with what it wants
  configured beside host and port (and with its own default of ``tls``); ``context.settings`` is one of those.
* :class:`fusequote.services.http.server.ServiceContext` holds ``home``, ``services`` (store, registry, keys),
  ``settings``, ``workers`` (:class:`fusequote.services.http.workers.WorkerPool`) and ``metrics``.

What the shell does around the routes, so that no route has to:

* limits: size of the body (413), time of a request (503), requests at once (503) and per client (429, Retry-After);
* ``Request-ID``, 32 hexadecimal digits, in the headers of every answer, ``request.state.request_id`` before that;
* one JSON line of log per request, ``/healthz``, ``/metrics``;
* errors that a route lets through: :class:`fusequote.errors.EnvironmentProblem` and a damaged store are 503 with
  Retry-After (the disk is full, the database is away, the clock is wrong: the same request may succeed later), any
  other :class:`fusequote.errors.FusequoteError` is 400, an exception is 500 and a line in the log; the body is
  ``{"error": {"kind", "message", "hint"}}``. A protocol with error answers of its own maps them before that
  (``@app.exception_handler``); for these two only the status has to stay.

Routes that touch the store are plain functions (``def``: FastAPI runs them in threads). What takes long is
``await context.workers.run(function, *arguments)``: ``function`` is a module's function, arguments and result are
pickled, and it runs in one of the worker processes, once more when a worker dies. A worker opens what it needs itself
(:func:`fusequote.services.http.workers.worker_services`).
"""
