"""Targets of `benchmarks/fuzz.py` and of tests/fuzz: what ganspect reads from outside, each with inputs that are wrong.

A target is a name, a Hypothesis strategy of inputs, and a function that reads one. It raises a `GanspectError` for what
it refuses; any other exception is a finding, and so is a `FaultError` that it raises itself. A web application
is one more target, made by a function that `every_target` calls:

    def page(folder: Path) -> Target:
        client = TestClient(application(folder), raise_server_exceptions=True)

        def run(request: tuple[str, str, bytes]) -> None:
            method, address, body = request
            answer = client.request(method, address, content=body)
            if answer.status_code >= 500:
                raise FaultError(f"{answer.status_code} for {method} {address}")
            if answer.status_code >= 400:
                raise GanspectError(answer.text)

        methods = strategies.sampled_from(("GET", "POST", "PUT"))
        return Target("page", strategies.tuples(methods, hostile_texts(), changed_bytes([b'{"label": "normal"}'])), run)
"""
