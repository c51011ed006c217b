# Two commands do everything on a fresh machine: `make demo` and `make test`.

CARGO ?= cargo
SERVICES := correlator registry-scanner admission-gateway secret-broker runtime-sensor
BINARIES := $(foreach crate,cli $(SERVICES),-p $(crate))

.PHONY: demo test build tools fmt lint doc golden corpus bench fuzz up demo-tools images chart

## The main job on real input: one image, one pod, one secret, one intruder, one incident.
demo: build
	target/debug/biotope demo

## All tests. BIOTOPE_REQUIRE=all fails where a part is missing instead of skipping.
test: tools
	$(CARGO) build $(BINARIES)
	$(CARGO) test --workspace

## The command and the five services.
build: demo-tools
	$(CARGO) build $(BINARIES)

## Installs what is missing: for everything, or for the programs and the demo only.
tools:
	@sh tests/tools/install.sh

demo-tools:
	@sh tests/tools/install.sh demo

## The platform on this machine, until Ctrl-C.
up: build
	target/debug/biotope up

## Images of the command and the services as archives in target/images: `make images REPOSITORY=registry.example/biotope TAG=0.1.0`.
images: demo-tools
	$(CARGO) build --release $(BINARIES) -p parts
	target/release/images target/release target/images $(or $(REPOSITORY),biotope) $(or $(TAG),0.1.0)

## Lints the chart and renders it again for review.
chart:
	UPDATE_GOLDEN=1 $(CARGO) test -p end-to-end --test it chart::renders

fmt:
	$(CARGO) fmt --all --check

lint: demo-tools
	$(CARGO) clippy --workspace --all-targets -- -D warnings

doc: demo-tools
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps

## Writes JSON Schemas, asyncapi.yaml and new golden bytes again; review the change.
golden:
	UPDATE_GOLDEN=1 $(CARGO) test -p schemas --test it

## Judges the engines by the peers' test data: all, or `make corpus NAME=falco-parser`.
corpus:
	@$(CARGO) test --profile fast --workspace --test it corpus_$(subst -,_,$(NAME)) -- --nocapture 2>/dev/null | grep -o 'CORPUS .*'

bench:
	$(CARGO) bench --workspace

## Searches with coverage (nightly Rust and cargo-fuzz): `make fuzz TARGET=policy TIME=3600`, or a minute of each.
fuzz:
	@cd tests/fuzz/search && for target in $(or $(TARGET),$$(ls ../seeds)); do \
		mkdir -p corpus/$$target; \
		$(CARGO) +nightly fuzz run --fuzz-dir . $$target corpus/$$target ../seeds/$$target -- \
			-max_total_time=$(or $(TIME),60) -timeout=10 -rss_limit_mb=2048 -max_len=8192 || exit 1; done
