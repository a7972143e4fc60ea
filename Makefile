# make demo: build, install and run the demo.   make test: build, install and run the tests.
PYTHON ?= python3
VENV ?= .venv
DEMO ?= demo
BENCH ?= build/bench
BIN = $(VENV)/bin

.PHONY: demo test lint native bench clean

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

demo: $(BIN)/python
	$(BIN)/pip install -q .
	$(BIN)/pantiny demo $(DEMO) --overwrite

test: $(BIN)/python
	PANTINY_CMAKE_ARGS="$$PANTINY_CMAKE_ARGS -DPANTINY_EMULATED=ON" \
	  $(BIN)/pip install -q -c constraints.txt -e '.[train,dev]'
	$(BIN)/pytest

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $$(git ls-files '*.cc' '*.cu' '*.h' '*.c')

# Native tests of the core under AddressSanitizer and UndefinedBehaviorSanitizer.
native:
	cmake -S . -B build/native -DPANTINY_PYTHON=OFF -DPANTINY_TESTS=ON \
	  -DPANTINY_SANITIZE=address,undefined,float-cast-overflow
	cmake --build build/native -j
	ctest --test-dir build/native --output-on-failure

# Every level against every baseline into BENCH/, then the page and the JSON of this machine.
bench: $(BIN)/python
	$(BIN)/pip install -q -c constraints.txt -e '.[bench]'
	$(BIN)/pantiny bench --output $(BENCH) --overwrite
	$(BIN)/python -m pantiny.benchmarks.report $(BENCH)/bench.json --results benchmarks/results \
	  --markdown docs/benchmarks.md --plot docs/roofline.svg

clean:
	rm -rf build dist *.egg-info $(VENV) pantiny/_c*.so
