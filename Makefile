# Each target is a command one could type; set-up is done when something needs it.

PYTHON ?= python3
VENV   ?= .venv
PORT   ?= 5000

# How long `make soak` and `make chaos` last.
SECONDS ?= 600
# Which tests `make test` runs: core, app or a plugin's name; all without it. With COVERAGE=1 it notes what they reach.
PART ?=
COVERAGE ?=

# What an image is named after, and is pushed to: a repository.
NAME ?= pegboard
# Which environment's machines: its inventory is read.
ENV ?= staging
# What a person or a workflow names goes on in the environment as it was given, and recipes quote it from there: neither
# make nor a shell reads it. Under its own name it is not exported, since make expands what it exports. ARGS alone is
# read by the shell: words for ansible-playbook or docker build, from a person.
unexport IMAGE NAME VERSION REASON TO URL ENV OVER TAG BREAK_LOCK
handed-on = $(if $(value $1),$(eval export $2 = $$(value $1)))
$(call handed-on,IMAGE,PEGBOARD_IMAGE)
$(call handed-on,NAME,PEGBOARD_REPOSITORY)
$(call handed-on,VERSION,PEGBOARD_VERSION)
$(call handed-on,REASON,PEGBOARD_REASON)
$(call handed-on,TO,PEGBOARD_TO)
$(call handed-on,URL,PEGBOARD_URL)
$(call handed-on,ENV,PEGBOARD_ENVIRONMENT)
$(call handed-on,OVER,PEGBOARD_OVER)
$(call handed-on,TAG,PEGBOARD_TAG)
$(call handed-on,BREAK_LOCK,PEGBOARD_BREAK_LOCK)

BIN     := $(VENV)/bin
PARTS   := -e ./app -e ./plugins/pegboard-sklearn -e ./plugins/pegboard-house-prices
PLUGINS := $(sort $(patsubst %/setup.cfg,%,$(wildcard plugins/*/setup.cfg)))
OURS    := pegboard pegboard-serve $(notdir $(PLUGINS))
# All plugins, and what their tests need (pip finds one plugin for another only by its bare name); `make run` gets by with two.
ALL     := -e ./app $(PLUGINS:%=-e ./%) $(PLUGINS:%=-e './%[testing]')
CONFIGS := setup.cfg app/setup.cfg $(wildcard plugins/*/setup.cfg) constraints.txt
# Ansible and the linters of the deployment, apart from what Pegboard itself is installed with.
TOOLS   := .venv-deploy
# What releases are built and checked with, to the last package.
RELEASE := .venv-release
export PEGBOARD_INVENTORY = hosts$(if $(filter-out staging,$(value ENV)),-$(value ENV)).cfg
PLAY    := PATH="$(abspath $(TOOLS)/bin):$(abspath $(BIN)):$$PATH" ansible/play.sh
# What needs a container engine: what is quick first, since the first failure ends it.
CHAIN   := tests/deploy/test_registries.py tests/deploy/test_container.py tests/deploy/test_chain.py
# Of the gates, what takes longest: begun last, it would go on when the other process has nothing left to do.
LONGEST := tests/deploy/test_terraform_applied.py tests/workflows/test_act.py tests/deploy/test_roll.py
TESTING := $(abspath $(TOOLS)/bin):$(abspath $(TOOLS)/node_modules/.bin):$(PATH)
# What `make test` looks at, by part. The PostgreSQL tests have a target of their own.
TESTS   := $(if $(PART),$(or $(if $(filter core,$(PART)),tests/framework tests/docs tests/family tests/integration),\
             $(if $(filter app,$(PART)),tests/app),\
             $(if $(filter $(notdir $(PLUGINS)),$(PART)),plugins/$(PART)/tests),\
             $(error no part is called so: PART is one of core app $(notdir $(PLUGINS)))))
PIP     := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: apply bench browser chaos clean clients copy deploy deploy-test dist docs environment fuzz gates help hosts \
	image init known-hosts lint lock login minutes newcomer packages plan postgresql promote providers push release-check \
	release-test retrain rollback run session-manager sign smoke soak status summary test wheels

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 8

run: $(VENV)/.ready-to-run ## set up, train on Ames house prices, serve on port 5000
	$(BIN)/pegboard train
	$(BIN)/pegboard serve --port $(PORT)

test: $(VENV)/.ready-to-develop ## all tests, or those of PART=core|app|pegboard-sklearn|…
	$(if $(COVERAGE),COVERAGE_FILE=$(CURDIR)/build/coverage/.coverage )$(BIN)/python -m $(if $(COVERAGE),coverage run -m )pytest \
	  -n auto --dist loadfile --ignore=plugins/pegboard-sql/tests/postgresql $(TESTS)

lint: $(VENV)/.ready-to-develop ## style, types, import contracts, generated docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy framework app/src $(PLUGINS:%=%/src)
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check

packages: ## install the Debian packages that the suites need (chromium, postgresql, gh, skopeo), those that are missing
	@tests/packages.sh

summary: $(VENV)/.ready-to-develop ## coverage by distribution (after `make test COVERAGE=1`) and a leaderboard, as Markdown
	@$(BIN)/python tests/summary.py build/coverage

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

image: $(VENV)/.ready-to-deliver ## build the image, its bundle taken into the registry first: NAME=REPOSITORY [ARGS="--build-arg …"]
	@PEGBOARD="$${PEGBOARD:-$(BIN)/pegboard}" image/build.sh "$$PEGBOARD_REPOSITORY" $(ARGS)

login: ## log docker and skopeo in to a repository: NAME=REPOSITORY (ECR with aws, others as REGISTRY_USER with REGISTRY_TOKEN)
	@image/login.sh "$$PEGBOARD_REPOSITORY"

push: ## push an image, and print how a deployment names it: IMAGE=REPOSITORY:TAG
	@image/push.sh "$$PEGBOARD_IMAGE"

copy: ## copy an image to another repository, its digest kept: IMAGE=REPOSITORY@sha256:… TO=REPOSITORY:TAG
	@image/copy.sh "$$PEGBOARD_IMAGE" "$$PEGBOARD_TO"

sign: ## sign an image without a key, as the workflow that runs this: IMAGE=REPOSITORY@sha256:…
	@image/sign.sh "$$PEGBOARD_IMAGE"

providers: ## download Terraform's providers for the checks, into PEGBOARD_TF_PLUGINS
	@terraform/providers.sh "$${PEGBOARD_TF_PLUGINS:?name a directory: PEGBOARD_TF_PLUGINS}"

init: environment ## point terraform/ at an environment's state: ENV=staging STATE_BUCKET=…
	@terraform/init.sh "$$PEGBOARD_ENVIRONMENT"

plan: environment ## what Terraform would change, as Markdown: ENV=staging STATE_BUCKET=…
	@terraform/plan.sh "$$PEGBOARD_ENVIRONMENT"

apply: environment ## change it: ENV=staging STATE_BUCKET=…
	@terraform/apply.sh "$$PEGBOARD_ENVIRONMENT"

session-manager: ## let ssh reach the hosts by their ids: PEGBOARD_SSH_KEY=…; ARGS=--remove takes the key away again
	@ansible/session-manager.sh $(ARGS)

hosts: environment ## write the inventory again, from what Terraform knows: ENV=staging (ansible/hosts.cfg), production (hosts-production.cfg)
	@terraform/hosts.sh "$$PEGBOARD_ENVIRONMENT" "ansible/$$PEGBOARD_INVENTORY"

known-hosts: environment ## write the hosts' keys where ssh looks for them, from their consoles
	@ansible/known-hosts.sh "ansible/$$PEGBOARD_INVENTORY"

deploy: $(TOOLS)/.ready environment ## bring an image to the hosts, one after the other: IMAGE=REPOSITORY@sha256:… VERSION=house-prices/7 REASON=…
	@$(PLAY) deploy.yml $(ARGS)

rollback: $(TOOLS)/.ready environment ## bring the hosts back to what they served before: REASON=… [TO=alias, or TO=house-prices/6]
	@$(PLAY) rollback.yml $(ARGS)

status: $(TOOLS)/.ready environment ## what each host serves, and did before
	@$(PLAY) status.yml $(ARGS)

smoke: $(TOOLS)/.ready environment ## fail unless every host serves this version: VERSION=house-prices/7 [URL=https://…, through the balancer too]
	@PEGBOARD_EXPECT="$${PEGBOARD_VERSION:?say which version is expected: VERSION=house-prices/7}" $(PLAY) status.yml $(ARGS)

retrain: $(VENV)/.ready-to-deliver ## validate, train, publish, ask staging's gate; RULE=promote lets its yes move staging's alias
	@$(BIN)/python .github/scripts/train.py

promote: $(VENV)/.ready-to-deliver environment ## point an environment's alias at a version, if its gate lets it: VERSION=house-prices/7 ENV=production REASON=…
	@$(BIN)/pegboard models promote --to "$$PEGBOARD_ENVIRONMENT" $${PEGBOARD_REASON:+--reason="$$PEGBOARD_REASON"} \
	  -- "$${PEGBOARD_VERSION:?say which version is promoted: VERSION=house-prices/7}"

# ENV becomes part of a file's name, and of a list that has commas.
environment:
	@case "$$PEGBOARD_ENVIRONMENT" in [!a-z]* | *[!a-z0-9-]* | '') \
	  printf "error: ENV is %s, and must be an environment's name: staging, production\n" "$$PEGBOARD_ENVIRONMENT" >&2; \
	  exit 1 ;; esac

gates: $(TOOLS)/.ready-to-test ## what workflows, Terraform, Ansible, images and scripts look like to their linters, and what they do
	PATH='$(TESTING)' $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(LONGEST) \
	  $(filter-out $(CHAIN) $(LONGEST),$(wildcard tests/workflows/test_*.py tests/deploy/test_*.py))

deploy-test: $(TOOLS)/.ready-to-test ## the whole chain on this machine, from `terraform apply` to a rollback (as root, on Debian)
	$(SUDO) env PATH='$(TESTING)' $(BIN)/python -m pytest -x $(CHAIN)

newcomer: ## the README's first command and its request, in a fresh clone
	$(PYTHON) tests/integration/newcomer.py

release-check: $(RELEASE)/.ready ## whether this can be released: versions in step, changelog, metadata; TAG=v1.2.3 asks for that one
	@$(RELEASE)/bin/python release/check.py $${PEGBOARD_TAG:+--tag "$$PEGBOARD_TAG"}

dist: $(RELEASE)/.ready ## every sdist and wheel of the last commit, built twice and compared, into dist
	@$(RELEASE)/bin/python release/build.py

release-test: $(RELEASE)/.ready $(VENV)/.ready-to-develop ## what builds and checks a release
	PATH='$(abspath $(RELEASE)/bin)':"$$PATH" $(BIN)/python -m pytest tests/release

lock: $(VENV)/.ready-to-develop ## resolve constraints.txt anew
	printf -- '-e %s\n' '.[dev]' ./app $(PLUGINS:%='./%[testing]') \
	| $(BIN)/uv pip compile - --universal --upgrade --python-version 3.11 --no-annotate \
	  $(OURS:%=--no-emit-package %) --custom-compile-command 'make lock' --output-file constraints.txt

clean: ## remove what the other targets have made, the registry apart
	rm -rf $(VENV) $(TOOLS) $(RELEASE) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage*

# Setting up says what it does on standard error: what a target prints is its result.
$(VENV)/.ready-to-run: $(CONFIGS) | $(BIN)/python
	@echo 'installing into $(VENV) (once; about a minute)' >&2
	@$(PIP) -e '.[train,parquet]' $(PARTS)
	@touch $@

$(VENV)/.ready-to-develop: $(CONFIGS) | $(BIN)/python
	@echo 'installing into $(VENV) (once; about a minute)' >&2
	@$(PIP) -e '.[dev]' $(ALL)
	@touch $@ $(VENV)/.ready-to-run $(VENV)/.ready-to-deliver

# Registries on S3, and signatures: the laptop's first minute is without them.
$(VENV)/.ready-to-deliver: $(CONFIGS) | $(BIN)/python
	@echo 'installing into $(VENV) (once; about a minute)' >&2
	@$(PIP) -e '.[train,parquet,s3,signing]' $(PARTS)
	@touch $@ $(VENV)/.ready-to-run

$(TOOLS)/.ready: ansible/requirements.txt | $(VENV)/.ready-to-deliver
	@echo 'installing Ansible into $(TOOLS) (once; about a minute)' >&2
	@$(BIN)/python -m venv $(TOOLS)
	@$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

$(TOOLS)/.ready-to-test: tests/deploy/requirements.txt tests/workflows/node/package-lock.json $(TOOLS)/.ready | $(VENV)/.ready-to-develop
	@$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@cp tests/workflows/node/package*.json $(TOOLS)
	@PATH='$(TESTING)' npm ci --prefix $(TOOLS) --silent --ignore-scripts --no-audit --no-fund
	@touch $@

$(RELEASE)/.ready: release/requirements.txt
	@echo 'installing into $(RELEASE) (once)' >&2
	@$(PYTHON) -m venv $(RELEASE)
	@$(RELEASE)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	|| { echo 'Pegboard needs Python 3.11 or newer: make PYTHON=python3.12 run, for example'; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	|| { echo 'no virtual environment could be made; on Debian: apt-get install python3-venv'; rm -rf $(VENV); exit 1; }
