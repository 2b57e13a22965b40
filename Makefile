# Builds, shows and checks envserve. `make` lists the targets.
#
# Everything that is built lies outside the checkout, in ENVSERVE_BUILD_DIR. All
# targets use the release profile, so RocksDB is compiled once for all of them.

ENVSERVE_BUILD_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/envserve-build
export ENVSERVE_BUILD_DIR
export CARGO_TARGET_DIR := $(ENVSERVE_BUILD_DIR)

.DEFAULT_GOAL := help
.PHONY: help build demo test check bench clean

help: ## lists the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

build: ## builds the release binary
	@.ci/setup build
	cargo build --release
	@echo "built $(CARGO_TARGET_DIR)/release/envserve"

demo: ## fetches a C toolchain, uses it, and says how long each step took
	@.ci/setup demo
	cargo build --release
	@.ci/demo

test: ## runs all tests
	@.ci/setup test
	cargo test --release

check: ## formatting, lints, documentation, dependencies
	@.ci/setup check
	cargo fmt --check
	cargo clippy --release --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --release --locked --no-deps
	@.ci/dependencies

bench: ## runs the benchmarks; BENCH=endpoint ARGS=--quick for one of them
	@.ci/setup demo
	@[ ! -x .ci/peers ] || .ci/peers
	cargo bench $(if $(BENCH),--bench $(BENCH) -- $(ARGS))

clean: ## removes everything that was built
	@[ ! -d "$(ENVSERVE_BUILD_DIR)/demo" ] || find "$(ENVSERVE_BUILD_DIR)/demo" -type d -exec chmod u+w {} +
	cargo clean
