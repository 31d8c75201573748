# Everything runs in .venv, which the first target that needs it creates; PYTHON chooses its interpreter.
PYTHON ?= python3

.PHONY: demo test check clean

demo: .venv/installed
	.venv/bin/ganspect demo --out demo

# Two processes take the tests file by file: most wait for a camera, a broker or a child as long as they compute.
test: check
	.venv/bin/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder --durations=10

check: .venv/installed
	scripts/check

# Byte code is made once, on all cores: importing PyTorch takes seconds without it, and the tests do so in many
# processes. The few files that are for other versions of Python do not compile, which is no matter.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --no-compile -c constraints.txt -e '.[demo,dev]'
	.venv/bin/python -m compileall -q -q -j 0 .venv/lib || true
	touch $@

clean:
	rm -rf .venv demo build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
