# make demo: the main job, with this machine as the device.   make test: everything that must hold.   make docs: the site.
# They make the environment they need in .venv; Python and make are all that must be there.

PYTHON ?= python3
VENV ?= .venv
DEMO ?= demo
BIN := $(VENV)/bin
READY := $(VENV)/.ready
RUN := $(BIN)/syncnas-deploy

.PHONY: demo test check docs install clean

install: $(READY)

$(READY): pyproject.toml constraints.txt hatch_build.py $(wildcard bench/native/*.[ch] bench/native/*/*.[ch] bench/java/org/syncnas/*.java)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[torch,onnx,dev]'
	@touch $@

demo: $(READY)
	$(RUN) devices
	$(RUN) assess --device host --base mobilenet_v2 --int8 --out $(DEMO)

test: check
	$(BIN)/python -m pytest -n auto --dist loadfile
	$(BIN)/python -m tests.support.other_systems windows -n auto --dist loadfile
	$(BIN)/python -m tests.support.other_systems macos -n auto --dist loadfile

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY)
	$(BIN)/python -m sphinx -q -E -W --keep-going docs site

clean:
	rm -rf $(VENV) $(DEMO) build dist site bench/syncnas_bench/_native
