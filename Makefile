# `make` alone says what there is.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help up down status test lint soak mutants bench bench-peers chaos specs clean-tests nextest images

STATE ?= $(or $(RECONCILER_STATE_DIR),/var/lib/reconciler)
MANIFESTS ?= manifests/quickstart.yaml
MAJORS ?= 15 16 17 18 19
ROUNDS ?= 10
KILLS ?= 3
MINUTES ?= 10
RECONCILER := target/release/reconciler --state-dir $(STATE)

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo '  STATE=$(STATE) (the state directory)  MANIFESTS=$(MANIFESTS)  MAJORS=$(MAJORS)'

up: ## Build, start the agent in the background, bring the quickstart's cluster up
	@cargo build --release
	@image=$$(awk '$$1 == "image:" {print $$2; exit}' manifests/quickstart.yaml); \
	if [[ '$(MANIFESTS)' == manifests/quickstart.yaml ]] && ! docker image inspect "$$image" >/dev/null 2>&1; then \
		echo 'images are pulled when a registry answers, else stand-ins are built'; \
		tests/images/get "$${image##*:}"; \
	fi
	@$(RECONCILER) up -f $(MANIFESTS)

down: ## End the agent; the containers keep running
	@pid=$$(cat $(STATE)/lock 2>/dev/null || true); \
	if [[ $$(cat /proc/$${pid:-0}/comm 2>/dev/null) != reconciler ]]; then echo 'no agent runs with $(STATE)'; exit 0; fi; \
	kill "$$pid"; \
	while kill -0 "$$pid" 2>/dev/null; do sleep 0.1; done; \
	echo "the agent has ended; the containers keep running"

status: ## Show members, conditions and what is in progress
	@$(RECONCILER) status

test: lint images nextest ## Check the sources, then run every test, those with real containers included
	@if cargo nextest --version >/dev/null 2>&1; then cargo nextest run --workspace --locked --no-fail-fast; \
	else cargo test --workspace --locked --lib --bins --tests --no-fail-fast; fi

lint: ## Check format, lints and, where cargo-deny is installed, dependencies
	@cargo fmt --all --check
	@cargo clippy --workspace --locked --all-targets -- -D warnings
	@if cargo deny --version >/dev/null 2>&1; then cargo deny --log-level error check; fi

soak: ## Play SEEDS=1000000 schedules in the simulated world (SEED=n replays one with its story)
	@SEEDS=$(or $(SEEDS),1000000) cargo test --locked --package reconciler --test scenarios -- --exact --nocapture \
		schedules::whatever_goes_wrong_nothing_is_lost_and_all_comes_to_rest

mutants: ## Change the product for the worse, one rule at a time: the simulated world has to find out
	@cargo test --quiet --locked --package reconciler --test mutants -- $(MUTANTS)

bench: ## Measure switchovers, restarts and the agent's own cost
	@tests/images/get 17
	@tests/images/monitoring
	@cargo bench --workspace --locked --bench bench

bench-peers: ## Measure this product beside Patroni, pg_auto_failover and a script, in one run (ROUNDS=10 KILLS=3)
	@tests/images/get 17
	@tests/images/peers
	@cargo bench --workspace --locked --bench peers -- --rounds $(ROUNDS) --kills $(KILLS)

chaos: ## Strike at random on the real engine for so long, and count what was lost (MINUTES=10, SEED=...)
	@tests/images/get 17
	@cargo bench --workspace --locked --bench chaos -- --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

specs: ## Write crd-like-specs/ anew from the types
	@cargo build --quiet
	@for kind in $$(target/debug/reconciler schema); do \
		target/debug/reconciler schema "$$kind" > "crd-like-specs/$${kind,,}.schema.json"; \
		echo "crd-like-specs/$${kind,,}.schema.json"; \
	done

clean-tests: ## Remove what tests left behind in the engine (labels dev.reconciler.test and dev-test)
	@for label in dev.reconciler.test dev-test; do \
		ids=$$(docker ps -aq --filter label=$$label); [[ -z $$ids ]] || docker rm -f -v $$ids; \
		ids=$$(docker network ls -q --filter label=$$label); [[ -z $$ids ]] || docker network rm $$ids; \
		ids=$$(docker volume ls -q --filter label=$$label); [[ -z $$ids ]] || docker volume rm $$ids; \
	done

images:
	@tests/images/get $(MAJORS)
	@tests/images/monitoring
	@tests/images/engine

# Without it the tests run all the same, in cargo's own runner.
nextest:
	@cargo nextest --version >/dev/null 2>&1 || cargo install --quiet --locked cargo-nextest || \
		echo 'cargo-nextest cannot be installed; cargo test runs the tests'
