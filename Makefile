# Each target is a command one could type; set-up is done when something needs it.

PYTHON ?= python3
VENV   ?= .venv
PORT   ?= 5000

# How long `make soak` and `make chaos` last.
SECONDS ?= 600

# What an image is named after, and is pushed to: a repository.
NAME ?= pegboard
# Which environment's machines: its inventory is read.
ENV ?= staging
# Why something is deployed or rolled back: kept in the ledger, and passed by the environment, where no shell reads it.
ifdef REASON
export PEGBOARD_REASON = $(value REASON)
endif

BIN     := $(VENV)/bin
PARTS   := -e ./app -e ./plugins/pegboard-sklearn -e ./plugins/pegboard-house-prices
PLUGINS := $(sort $(patsubst %/setup.cfg,%,$(wildcard plugins/*/setup.cfg)))
OURS    := pegboard pegboard-serve $(notdir $(PLUGINS))
# All plugins, and what their tests need (pip finds one plugin for another only by its bare name); `make run` gets by with two.
ALL     := -e ./app $(PLUGINS:%=-e ./%) $(PLUGINS:%=-e './%[testing]')
CONFIGS := setup.cfg app/setup.cfg $(wildcard plugins/*/setup.cfg) constraints.txt
# Ansible and the linters of the deployment, apart from what Pegboard itself is installed with.
TOOLS   := .venv-deploy
INVENTORY := hosts$(if $(filter-out staging,$(ENV)),-$(ENV)).cfg
PLAY    := cd ansible && PATH="$(abspath $(TOOLS)/bin):$(abspath $(BIN)):$$PATH" \
           ANSIBLE_INVENTORY="$${ANSIBLE_INVENTORY:-$(INVENTORY)}" ansible-playbook
TESTING := $(abspath $(TOOLS)/bin):$(PATH)
PIP     := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: run test lint docs browser fuzz postgresql clients wheels minutes soak chaos bench lock clean help \
	image push hosts deploy rollback status gates deploy-test

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 8

run: $(VENV)/.ready-to-run ## set up, train on Ames house prices, serve on port 5000
	$(BIN)/pegboard train
	$(BIN)/pegboard serve --port $(PORT)

test: $(VENV)/.ready-to-develop ## all tests
	$(BIN)/python -m pytest -n auto --dist loadfile --ignore=plugins/pegboard-sql/tests/postgresql

lint: $(VENV)/.ready-to-develop ## style, types, import contracts, generated docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy framework app/src $(PLUGINS:%=%/src)
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check

docs: $(VENV)/.ready-to-develop ## write the generated parts of the documentation
	$(BIN)/python docs/generate.py

browser: $(VENV)/.ready-to-develop ## the pages in a real browser (Debian: chromium chromium-driver)
	$(BIN)/python -m pytest tests/browser

fuzz: $(VENV)/.ready-to-develop ## every route against its own description
	$(BIN)/python -m pytest tests/fuzz

postgresql: $(VENV)/.ready-to-develop ## the SQL source against a server that the tests start (Debian: postgresql)
	$(BIN)/python -m pytest plugins/pegboard-sql/tests/postgresql

clients: $(VENV)/.ready-to-develop ## Triton's and MLflow's own clients against a running server
	$(BIN)/python tests/clients/run.py

wheels: $(VENV)/.ready-to-develop ## every plugin from its wheel, in an empty environment, with its own tests (Debian: postgresql)
	$(BIN)/python tests/wheels/run.py

minutes: ## the pages for authors, from scaffold to a served prediction, in a fresh clone and an empty environment
	$(PYTHON) tests/integration/fifteen_minutes.py

soak: $(VENV)/.ready-to-develop ## mixed load with bad requests among it, for SECONDS=600
	$(BIN)/python tests/soak/soak.py --seconds $(SECONDS)

chaos: $(VENV)/.ready-to-develop ## eight writers at once, killed now and then, over both stores, for SECONDS=600 each
	CHAOS_SECONDS=$(SECONDS) $(BIN)/python -m pytest tests/integration/test_chaos.py

bench: ## measure serving next to its peers (Debian: wrk; about 12 minutes)
	$(PYTHON) benchmarks/serving/run.py

image: $(VENV)/.ready-to-run ## build the image, its bundle taken into the registry first: NAME=REPOSITORY
	@PEGBOARD="$${PEGBOARD:-$(BIN)/pegboard}" image/build.sh $(NAME)

push: ## push an image, and print how a deployment names it: IMAGE=REPOSITORY:TAG
	@image/push.sh $(IMAGE)

hosts: ## write the inventory again, from what Terraform knows: ENV=staging (ansible/hosts.cfg), production (hosts-production.cfg)
	@terraform/hosts.sh $(ENV) ansible/$(INVENTORY)

deploy: $(TOOLS)/.ready ## bring an image to the hosts, one after the other: IMAGE=REPOSITORY@sha256:… VERSION=house-prices/7 REASON=…
	@$(PLAY) deploy.yml -e pegboard_image='$(IMAGE)' -e pegboard_version='$(VERSION)' $(ARGS)

rollback: $(TOOLS)/.ready ## bring the hosts back to what they served before: REASON=… [ARGS='-e pegboard_rollback_to=alias']
	@$(PLAY) rollback.yml $(ARGS)

status: $(TOOLS)/.ready ## what each host serves, and did before
	@$(PLAY) status.yml $(ARGS)

gates: $(TOOLS)/.ready-to-test ## what Terraform, Ansible, the Dockerfile and the scripts look like to their linters
	PATH='$(TESTING)' $(BIN)/python -m pytest tests/deploy/test_gates.py tests/deploy/test_filters.py \
	  tests/deploy/test_terraform.py tests/deploy/test_alb.py tests/deploy/test_known_hosts.py

deploy-test: $(TOOLS)/.ready-to-test ## the whole chain on this machine, from `terraform apply` to a rollback (as root, on Debian)
	PATH='$(TESTING)' $(BIN)/python -m pytest -x tests/deploy/test_container.py tests/deploy/test_chain.py

lock: $(VENV)/.ready-to-develop ## resolve constraints.txt anew
	printf -- '-e %s\n' '.[dev]' ./app $(PLUGINS:%='./%[testing]') \
	| $(BIN)/uv pip compile - --universal --upgrade --python-version 3.11 --no-annotate \
	  $(OURS:%=--no-emit-package %) --custom-compile-command 'make lock' --output-file constraints.txt

clean: ## remove what the other targets have made, the registry apart
	rm -rf $(VENV) $(TOOLS) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage*

$(VENV)/.ready-to-run: $(CONFIGS) | $(BIN)/python
	@echo 'installing into $(VENV) (once; about a minute)' >&2
	$(PIP) -e '.[train,parquet]' $(PARTS)
	@touch $@

$(VENV)/.ready-to-develop: $(CONFIGS) | $(BIN)/python
	@echo 'installing into $(VENV) (once; about a minute)' >&2
	$(PIP) -e '.[dev]' $(ALL)
	@touch $@ $(VENV)/.ready-to-run

$(TOOLS)/.ready: ansible/requirements.txt | $(VENV)/.ready-to-run
	@echo 'installing Ansible into $(TOOLS) (once; about a minute)' >&2
	@$(BIN)/python -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

$(TOOLS)/.ready-to-test: tests/deploy/requirements.txt $(TOOLS)/.ready | $(VENV)/.ready-to-develop
	$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	|| { echo 'Pegboard needs Python 3.11 or newer: make PYTHON=python3.12 run, for example'; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	|| { echo 'no virtual environment could be made; on Debian: apt-get install python3-venv'; rm -rf $(VENV); exit 1; }
