# The tasks of millrace. They need Rust 1.88 or newer, make and a C linker. A target that can use more
# looks for it, and prints what it lacks. ARGS='…' is passed on to the program that a target runs:
# make run ARGS='--workers 1', make challenge ARGS='--connections 64'.

# Where cargo builds: the same directory for `make` and cargo, with or without the variable.
TARGET = $${CARGO_TARGET_DIR:-target}
# Where `make install` puts its files.
PREFIX = /usr/local

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "ARGS='…' passes options on to the program: make run ARGS='--workers 1'"

# The first thing that a newcomer does, so POST /reset is allowed, and only this machine can connect.
# ARGS='--listen 0.0.0.0:8080' or MILLRACE_LISTEN opens it to others; the last address counts.
run: ## Build the server and start it on 127.0.0.1:8080
	cargo run --release --locked --package millrace -- \
		--listen "$${MILLRACE_LISTEN:-127.0.0.1:8080}" --allow-reset $(ARGS)

# The main task. The exit status is 0 if every event was counted exactly. Both programs are built
# first, so that no compiler runs beside the measurement.
challenge: ## Send a million events to a server of its own and check the statistics
	cargo build --release --locked --package millrace --package challenge
	"$(TARGET)/release/challenge" \
		--spawn "$(TARGET)/release/millrace --listen 127.0.0.1:{port}" $(ARGS)

# Cargo hides what a passing test prints, so the script lists what was skipped at the end.
test: ## Run all tests, and list what was skipped
	@sh tests/run.sh $(ARGS)

# `make test` has a few dozen of these crashes. Here they go on for 60 seconds, or CRASH_SECONDS.
crash: ## Kill servers in mid-load, hundreds of times, and check what is recovered
	cargo test --locked --package millrace --test state -- --ignored --nocapture $(ARGS)

# Needs Node.js and Chromium, and is skipped without them. Pictures go to target/screenshots; one of
# them is docs/dashboard.png.
test-browser: ## Test the dashboard in a real browser
	cargo build --release --locked --package millrace --package challenge
	sh tests/browser/run.sh "$(TARGET)/release/millrace" "$(TARGET)/release/challenge"

# Needs schemathesis from PyPI, and is skipped without it.
test-interface: ## Let schemathesis try what /openapi.json describes
	cargo build --release --locked --package millrace
	sh tests/schemathesis/run.sh "$(TARGET)/release/millrace"

# Needed after a change of its template, style or script; a test compares.
page: ## Put the dashboard's page together
	cargo run --quiet --locked --package page -- src/app/page

# Warnings are errors. Spelling is checked where codespell is installed; the words in its list are
# names of HTTP, and parts of words in test data. Documentation is checked of private items too, which may
# link to one another, but not of other packages.
lint: ## Check format, lints, spelling and documentation, warnings being errors
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS='-D warnings -A rustdoc::private-intra-doc-links' \
		cargo doc --workspace --no-deps --locked --document-private-items
	@if command -v codespell >/dev/null; then \
		git ls-files -z -- '*.md' '*.rs' '*.sh' '*.toml' '*.yml' Makefile | \
			xargs -0 codespell --ignore-words-list te,tru,fo,atleast; \
	else \
		echo 'lint: spelling is not checked (pip3 install codespell)' | tee -a "$${SKIPPED_TESTS:-/dev/null}"; \
	fi

# In turn, so that what else runs on the machine affects both alike. Takes some minutes;
# ARGS='--rounds 1' takes less.
bench: ## Measure millrace beside the floor, and in batches: rates, processor time, latency, memory
	cargo build --release --locked --workspace
	"$(TARGET)/release/bench" floor --programs "$(TARGET)/release" $(ARGS)

# In turn as well. Redis (apt-get install redis-server) and SQLite are skipped with ARGS='--alone'.
# ARGS='--users-max 50000000' recovers 50 million users, which takes 2 GB of memory and 1 GB of disk.
bench-state: ## Measure what --state costs, beside Redis, SQLite and the disk alone; recovery
	cargo build --release --locked --workspace
	"$(TARGET)/release/bench" state --programs "$(TARGET)/release" --directory "$(TARGET)/bench-state" $(ARGS)

# Each server is built by its own ecosystem's tools, and skipped with a line without them.
compare: ## Measure millrace beside usual servers, and check what each of them counts
	cargo build --release --locked --workspace
	"$(TARGET)/release/bench" compare --programs "$(TARGET)/release" --json docs/compare.json $(ARGS)
	"$(TARGET)/release/bench" plot docs/compare.json docs/compare.svg

scale: ## Measure more and more connections, users, bytes and workers
	cargo build --release --locked --workspace
	"$(TARGET)/release/bench" scale --programs "$(TARGET)/release" $(ARGS)

# The number does not depend on the day or on the load of the machine, as a rate does.
instructions: ## Count user-space instructions for a request, where valgrind is installed
	cargo build --release --locked --package millrace --package challenge
	sh tools/instructions.sh "$(TARGET)/release" $(ARGS)

# One file that runs on any Linux of this architecture, also in an empty container.
dist: ## Build the static, stripped binary into dist
	sh tools/dist.sh

package: dist ## Build the static binary and pack it: tarball, Debian package, checksums
	sh tools/package.sh

# The man page, the completions and the documents go along. PREFIX=/usr/local and DESTDIR= as usual.
# The binary is built by `make dist`, before, so that root need not run a compiler.
install: ## Install what `make dist` has built below PREFIX
	@test -x dist/millrace || { echo "install: run 'make dist' first" >&2; exit 1; }
	sh tools/install.sh dist/millrace "$(DESTDIR)$(PREFIX)"

uninstall: ## Remove what `make install` has installed
	rm -rf "$(DESTDIR)$(PREFIX)/share/doc/millrace"
	cd "$(DESTDIR)$(PREFIX)" && rm -f bin/millrace share/man/man1/millrace.1 \
		share/bash-completion/completions/millrace share/zsh/vendor-completions/_millrace \
		share/fish/vendor_completions.d/millrace.fish

# What the fuzzer has found (tools/fuzz/corpus and artifacts) stays.
clean: ## Remove everything that was built
	cargo clean
	rm -rf dist tools/fuzz/target tools/peers/build tools/peers/*/target tests/browser/node_modules

# Another build, an empty root, a fresh Debian.
check: package ## Try the packages as their users would, where that is possible
	cargo build --release --locked --package challenge
	sh tools/package-check.sh "$(TARGET)/release/challenge"

# Loom runs the tests with its name under every interleaving. There are many, so the build is
# optimised. A target directory of its own keeps the flag from rebuilding everything else.
model: ## Check the lock-free parts under every interleaving
	RUSTFLAGS='--cfg loom' CARGO_PROFILE_RELEASE_LTO=off \
		cargo test --release --locked --package millrace --lib \
		--target-dir "$(TARGET)/loom" loom

# Each target in turn, for SECONDS=60 by default, if the tools for it are installed.
fuzz: ## Fuzz the parsers, each for SECONDS
	sh tools/fuzz.sh $(SECONDS)

# Good and bad clients at once; the statistics must be exact to the event at the end.
soak: ## Mix clients of every kind for MINUTES=10, then account for every event
	cargo build --release --locked --package millrace --package soak
	"$(TARGET)/release/soak" mixed "$(TARGET)/release/millrace" --minutes $(or $(MINUTES),10) $(ARGS)

# The attack that servers with a thread for each connection do not survive.
slowloris: ## Measure normal load beside 5,000 trickling clients
	cargo build --release --locked --package millrace --package challenge --package soak
	"$(TARGET)/release/soak" slowloris "$(TARGET)/release/millrace" "$(TARGET)/release/challenge" $(ARGS)

.PHONY: help run challenge test test-browser test-interface page lint bench bench-state compare scale instructions dist \
	package install uninstall clean check model fuzz soak slowloris crash
