# The front door. Everything real is in CMakeLists.txt, CMakePresets.json and tools/.
#
#   make          the release programs, in build/release/bin
#   make run      installs what is missing, builds, starts the lakehouse with a small demo
#   make test     installs what is missing, builds, passes the tests
MAKEFLAGS += --no-print-directory
.PHONY: all run test test-all asan tsan fuzz crash power lint fmt bench install clean \
        bootstrap-build bootstrap-test bootstrap-ci bootstrap-bench bootstrap-crash

PREFIX ?= /usr/local
DATA ?= lakehouse-data
JOBS ?= $(shell nproc)
# make asan R=unit.base: only the tests whose name matches
# make fuzz T=guard S=60: one target, sixty seconds
T ?= all
S ?= 30

all: bootstrap-build
	@cmake --preset release >/dev/null
	@cmake --build --preset release -j $(JOBS)

run: all
	@build/release/bin/lakehouse serve --demo -data $(DATA)

test: bootstrap-test
	@cmake --preset dev >/dev/null
	@cmake --build --preset dev -j $(JOBS)
	@ctest --preset dev -j $(JOBS)

test-all: test asan tsan

asan: bootstrap-ci
	@cmake --preset asan >/dev/null
	@cmake --build --preset asan -j $(JOBS)
	@tools/with-sanitizers ctest --preset asan -j $(JOBS) -R '$(or $(R),.)'

tsan: bootstrap-ci
	@cmake --preset tsan >/dev/null
	@cmake --build --preset tsan -j $(JOBS)
	@tools/with-sanitizers ctest --preset tsan -j $(JOBS) -R '$(or $(R),.)'

fuzz: bootstrap-ci
	@cmake --preset fuzz >/dev/null
	@cmake --build --preset fuzz -j $(JOBS)
	@tools/fuzz $(T) $(S)

# make crash R=1000: kill -9 of storaged and vectord under load; make power R=300: power cuts (root); tests/crash
crash: all bootstrap-crash
	@LAKEHOUSE_BIN=build/release/bin tests/crash/kill.py --rounds $(or $(R),100) $(ARGS)
	@LAKEHOUSE_BIN=build/release/bin tests/crash/kill_vectors.py --rounds $(or $(R),100) $(ARGS)

power: all bootstrap-crash
	@LAKEHOUSE_BIN=build/release/bin tests/crash/power.py --rounds $(or $(R),30) $(ARGS)

lint: bootstrap-ci
	@tools/lint

fmt: bootstrap-ci
	@git ls-files '*.c' '*.h' '*.cc' | xargs clang-format -i

bench: bootstrap-bench
	@cmake --preset bench >/dev/null
	@cmake --build --preset bench -j $(JOBS)
	@bench/run $(ARGS)

install: all
	@cmake --install build/release --prefix $(DESTDIR)$(PREFIX)

bootstrap-build:
	@tools/bootstrap build
bootstrap-test:
	@tools/bootstrap test
bootstrap-ci:
	@tools/bootstrap ci
bootstrap-bench:
	@tools/bootstrap bench
bootstrap-crash:
	@tools/bootstrap crash

clean:
	@rm -rf build/release build/dev build/asan build/tsan build/fuzz build/bench
