# Daypass: `make` alone tells what there is.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help build test test-desktop check demo man openapi icons bench-desktop profile-docs fuzz lint deny package install

# Tools that had to be brought along come first; cargo may not be on the path of a fresh rustup.
export PATH := $(CURDIR)/target/tools/bin:$(PATH):$(HOME)/.cargo/bin

# What `make package` and `make install` are about, and where.
PACKAGES ?= daypass daypass-desktop daypass-demo
PREFIX ?= /usr

# Version of cargo-deny that lint builds when none is installed.
DENY_VERSION := 0.20.2

help: ## tell what there is
	@sed -n 's/^\([a-z-]*\): .*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 22

build: ## build daypass, daypass-agent and the development programs
	@tests/tools/install build
	cargo build --locked

test: ## every test, end to end with provider, keychain and browser; installs what is missing
	@tests/tools/install test
	cargo build --locked
	cargo test --locked --no-fail-fast -- --skip root_cases::
	@echo "not run here: root_cases (a second user, another network), which need root: .ci/run runs them"

test-desktop: ## the tray and its windows on a private desktop (X, panel, keychain); builds WebKit bindings, some minutes
	@tests/tools/install desktop
	cargo build --locked
	cargo build --locked -p daypass-desktop
	cargo test --locked --no-fail-fast -p daypass-desktop
	cargo test --locked --no-fail-fast -p e2e --features desktop --test desktop
	desktop-file-validate src-tauri/linux/*.desktop
	appstreamcli validate --no-net src-tauri/linux/*.metainfo.xml

check: ## the tests that need no network, provider, keychain or browser
	cargo build --locked --offline
	cargo test --locked --offline --no-fail-fast -- --skip online:: --skip root_cases::
	@echo "not run here: online (make test) and root_cases (.ci/run as root)"

demo: ## try Daypass in a throw-away home with a provider of its own; installs what is missing
	@tests/tools/install demo
	cargo build --locked -p daypass-agent -p daypass-cli -p daypass-dev-issuer
	target/debug/daypass-demo

man: ## write docs/man and the shell completions anew, from the definition of the command line
	DAYPASS_WRITE=1 cargo test --locked --quiet -p daypass-cli --bin daypass -- generated::

openapi: ## write docs/openapi.json and the reference in docs/api.md anew, from crates/localapi
	DAYPASS_WRITE=1 cargo test --locked --quiet -p e2e --test e2e -- offline::interface::the_description

profile-docs: ## write docs/profile anew (reference, schema, ADMX, manifest), from the keys of crates/profile
	DAYPASS_WRITE=1 cargo test --locked --quiet -p daypass-profile --test documents the_files_are_what_is_made

fuzz: ## fuzz each reader of foreign bytes for FUZZ_SECONDS (10); needs cargo-fuzz and a nightly toolchain
	@tests/tools/fuzz

bench: ## measure release programs beside their peers (some minutes); writes docs/performance.md; installs what is missing
	@tests/tools/install bench
	cargo build --locked --release -p daypass-agent -p daypass-cli -p daypass-benches -p e2e --bins
	@! grep -q DAYPASS_FAILPOINT target/release/daypass-agent || { echo "a release build knows failpoints"; exit 1; }
	target/release/daypass-bench report --document docs/performance.md

bench-desktop: ## measure the release shell on a private desktop (some minutes, as root); writes docs/performance.md
	@tests/tools/install desktop
	cargo build --locked --release -p daypass-agent -p daypass-cli -p e2e --bins --features e2e/desktop
	cargo build --locked --release -p daypass-desktop
	target/release/e2e-desktop-bench docs/performance.md 300

icons: ## draw the icons anew from icons/mark.svg and icons/tray.svg; needs rsvg-convert
	icons/make

package: ## release packages (.deb, and .rpm where rpmbuild is) of the command, the tray and the demo, in target/packages
	@tests/tools/install desktop
	cargo build --locked --release -p daypass-agent -p daypass-cli -p daypass-dev-issuer -p daypass-desktop
	@! grep -q DAYPASS_FAILPOINT target/release/daypass-agent || { echo "a release build knows failpoints"; exit 1; }
	src-tauri/linux/package target/release target/packages $(PACKAGES)

install: ## install the release programs that were built, DESTDIR=… PREFIX=/usr PACKAGES="daypass daypass-desktop"
	PREFIX=$(PREFIX) src-tauri/linux/install target/release "$(DESTDIR)" $(PACKAGES)

lint: deny ## formatting, clippy, licences and banned crates
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets --features e2e/desktop -- -D warnings

deny: ## licences, banned crates and sources alone
	@command -v cargo-deny >/dev/null || \
		cargo install --quiet --locked --root target/tools --version $(DENY_VERSION) cargo-deny
	cargo deny check bans licenses sources
