# The two commands of the README are `make demo` and `make test`; both install what they lack.
# Every other target is a part of them.

CARGO   ?= cargo
YUKUE    = target/release/yukue
DEMO     = pcaps/attack/staging-antivirus-push.pcap
# Where real captures and their scorer lie, if they are at hand; unset, `make conformance` says SKIPPED.
CORPUS  ?=
SCORER  ?=

.PHONY: demo test check lint soak bench bench-quick fuzz conformance scorecard scorecard-small statistics licenses packaging tools help

help:
	@echo 'make demo         build, analyse a shipped attack capture, print what was found'
	@echo 'make test         everything: check, dissectors, conformance, ladders; minutes per part printed'
	@echo 'make check        the quick suite: format, lints, units, scenarios, invariants'
	@echo 'make bench        CPU per packet against a bare libpcap loop, memory, allocations; CPU per message of each parser'
	@echo 'make scorecard    detection on simulated fleets against its goals; FULL=1, FLEET=100000 (DAYS=14), REPORT=1'
	@echo 'make fuzz         ten minutes of fuzzing, coverage-guided where the toolchain allows'
	@echo 'make soak         ten minutes of traffic and troubles on a live sensor (MINUTES=60): memory, losses, series'
	@echo 'make packaging    units, .deb, container file, manifests, man pages against the tools that read them'
	@echo 'make conformance CORPUS=DIR SCORER=DIR    score against independent dissectors'

demo: tools
	$(CARGO) build --release --quiet
	@rm -rf target/demo
	$(YUKUE) analyze $(DEMO) --inside 10.20.0.0/16 --out target/demo
	@echo
	@echo 'records: target/demo/{alerts,findings,flows,facts}.jsonl and summary.json'

test: tools
	@bash tests/run.sh

check: lint
	$(CARGO) test --quiet

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --quiet -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --no-deps --document-private-items --quiet

licenses:
	$(CARGO) deny --version >/dev/null 2>&1 || $(CARGO) install cargo-deny --locked --quiet
	$(CARGO) deny check bans licenses sources

# Units, package, container file, manifests, man pages and completions, held against the tools that read them.
packaging:
	$(CARGO) build --release --quiet
	@bash tests/packaging.sh

# Error rates and power of the common cause test over hundreds of days, and the beacon's quantiles made again: too long
# without optimisation, so only this crate's tests are compiled with it.
statistics:
	CARGO_PROFILE_TEST_OPT_LEVEL=3 $(CARGO) test --quiet --lib -- --ignored blames named quantile

# The live sensor left alone with mixed traffic and troubles; MINUTES=60 for longer. Says SKIPPED without namespaces.
MINUTES ?= 10
soak:
	SOAK_SECONDS=$$(($(MINUTES) * 60)) $(CARGO) test --quiet --test live soak -- --nocapture

bench:
	$(CARGO) bench --bench load

bench-quick:
	$(CARGO) bench --bench load -- --quick

# How well detection does on simulated fleets; FULL=1 pools rare events over many seeds and can be broken off and taken
# up again, FLEET=100000 is one large fleet for 14 days or DAYS=3 (two hours and a half; kept every other night in
# target/scorecard, so it too can be broken off), REPORT=1 opens the first report's seeds, once; REPORT=2
# those of the next, after what the first one showed was mended.
SCORE = $(if $(REPORT),--report $(REPORT) $(shell date -u +%F),$(if $(FLEET),fleet-$(FLEET)$(if $(DAYS),x$(DAYS)),$(if $(FULL),full,development)))
scorecard:
	$(CARGO) bench --bench scorecard -- $(SCORE)

# The same on fleets of 200 hosts, with the floors that can be held against so few; a part of `make test`.
scorecard-small:
	$(CARGO) bench --bench scorecard -- small

fuzz:
	@bash tests/fuzz.sh 600

conformance:
	@bash tests/conformance.sh '$(CORPUS)' '$(SCORER)'

# What the build and the tests need of the system: a C compiler and libpcap; for `make test` also tshark, python3, Prometheus and
# Alertmanager.
tools:
	@bash tests/tools.sh $(if $(filter test,$(MAKECMDGOALS)),test,build)
