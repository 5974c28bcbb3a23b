# make demo: the whole loop on handwritten digits.  make test: unit, local and service tests.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

# Built wheels, by the hash of their sources.
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/image-pipelines
HOROVOD := $(CACHE)/horovod-$(shell cat images/trainer/build_horovod.sh requirements/trainer.txt requirements/horovod.txt | sha256sum | cut -c1-16)
# The trainer image takes the wheel if this machine has the image's Debian.
ifeq ($(shell . /etc/os-release 2>/dev/null && echo $$ID-$$VERSION_ID),debian-12)
export HOROVOD_WHEELS := $(HOROVOD)
endif
BIN := .venv/spark/bin
# Debian's Go is too old for the servers of the tests.
GO := $(or $(shell command -v go),/usr/local/go/bin/go)
UV := .venv/tools/bin/uv
# Show the progress of a command that takes long; the second argument says which lines of its output to show.
SHOW := requirements/show_progress.sh
UV_LINES := 's/^ *(Downloading|Downloaded|Prepared) (.*)/\l\1 \2/p; s/^Installed (.*) in .*/compiling bytecode of \1/p'
# On Debian, JDK 17 may not be the default Java.
export JAVA_HOME := $(or $(JAVA_HOME),$(firstword $(wildcard /usr/lib/jvm/java-17-*)))

.PHONY: help
help: ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1\t/' | expand -t 22

.PHONY: demo
demo: setup ## Run the whole loop on handwritten digits, on this machine
	@$(BIN)/image-pipelines demo

.PHONY: demo-clean
demo-clean: ## Remove the files of the demo
	rm -rf demo

.PHONY: bench
bench: setup .venv/daft.done ## Measure each figure beside the reference's way, for benchmarks/README.md
	@$(BIN)/python -m benchmarks

.PHONY: test
test: setup .venv/services.done ## Run the unit, local and service tests
	$(BIN)/python -m pytest tests/unit tests/local tests/services -m "not slow" --numprocesses 2 --dist loadfile --no-loadscope-reorder --durations 25

.PHONY: images
images: ## Build the container images, with docker or buildah; DEVICE=cpu or gpu builds one trainer only
	images/build.sh

# LOAD is a command that loads image archives into the cluster, e.g. LOAD="kind load image-archive".
.PHONY: load-images
load-images: setup ## Build the images for CPUs and load them into the cluster that KUBECONFIG names
	$(if $(LOAD),tests/cluster/load_images.sh $(LOAD))

# In one process: on two cores, the pods of two tests starve the API server.
.PHONY: test-cluster
test-cluster: load-images ## Run the cluster tests in the cluster that KUBECONFIG names
	$(BIN)/python -m pytest tests/cluster tests/unit/test_manifests.py -m "not slow" --durations 25

.PHONY: test-slow
test-slow: setup .venv/services.done $(if $(LOAD),load-images) ## Run the tests that take long: large files, getting started, Argo, and each step killed 20 times in each window
	@requirements/system_packages.sh slow
	IMAGE_PIPELINES_TEST_LOAD="$(LOAD)" $(BIN)/python -m pytest tests/slow
	IMAGE_PIPELINES_TEST_KILLS=20 $(BIN)/python -m pytest tests/local/test_kills.py tests/services/test_kills_on_stores.py tests/services/test_kills_with_events.py
	$(BIN)/python -m pytest tests/local tests/services $(if $(LOAD),tests/cluster) -m slow --ignore-glob '*/test_kills*'

.PHONY: lint
lint: setup ## Check style, types and imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: generate
generate: setup ## Write all generated files
	requirements/compile.sh
	$(BIN)/image-pipelines compile

.PHONY: check-generated
check-generated: generate ## Fail if a generated file is not what its source makes
	@git diff --exit-code -- '*.yaml' '*.md' requirements/
	@test -z "$$(git ls-files --others --exclude-standard -- '*.yaml' '*.md' requirements/)"

.PHONY: setup
setup: .venv/spark.done .venv/trainer.done ## Make both environments

.venv/tools.done: requirements/tools.txt requirements/system_packages.sh
	@echo "Setting up in .venv: system packages, two Python environments, Horovod. This takes minutes, but only once."
	@requirements/system_packages.sh
	@rm -rf .venv/tools && $(SHOW) 'tools environment' '' python3.11 -m venv .venv/tools
	@$(SHOW) 'tools (pip)' 's/^ *(Downloading|Installing) (.*)/\l\1 \2/p' \
	    .venv/tools/bin/pip install --progress-bar off --disable-pip-version-check --require-hashes --requirement $<
	@touch $@

.venv/spark.done: requirements/dev.txt images/spark/install_jars.py images/spark/make_class_archive.py pyproject.toml .venv/tools.done
	@test -d .venv/spark || $(UV) venv --quiet --python python3.11 .venv/spark
	@$(SHOW) 'spark environment' $(UV_LINES) \
	    $(UV) pip sync --compile-bytecode --python .venv/spark --require-hashes $<
	@$(UV) pip install --quiet --python .venv/spark --no-deps --no-build-isolation --editable .
	@$(SHOW) 'JARs for Spark' 's/^\t*(downloading|found) .*[/#]([^ ]+).*/\1 \2/p; s/^:: retrieving.*/checking that Spark starts/p' \
	    $(BIN)/python images/spark/install_jars.py
	@$(SHOW) 'Java class archive' 's/.*progress: //p' $(BIN)/python images/spark/make_class_archive.py
	@touch $@

.venv/trainer.done: requirements/trainer.txt pyproject.toml $(HOROVOD).done .venv/tools.done
	@test -d .venv/trainer || $(UV) venv --quiet --python python3.11 .venv/trainer
	@$(SHOW) 'trainer environment' $(UV_LINES) \
	    $(UV) pip sync --compile-bytecode --python .venv/trainer --require-hashes $<
	@$(UV) pip install --quiet --python .venv/trainer --no-deps --no-build-isolation $(HOROVOD)/*.whl --editable .
	@touch $@

# In an environment of its own, so that a failed build leaves no trainer environment that looks complete.
$(HOROVOD).done: | .venv/tools.done
	@rm -rf .venv/horovod && $(UV) venv --quiet --python python3.11 .venv/horovod
	@$(SHOW) 'Horovod environment' $(UV_LINES) $(UV) pip sync --python .venv/horovod --require-hashes requirements/trainer.txt
	@images/trainer/build_horovod.sh .venv/tools/bin/pip .venv/horovod/bin/python $(HOROVOD)
	@rm -rf .venv/horovod && touch $@

.venv/daft.done: requirements/daft.txt .venv/tools.done
	@rm -rf .venv/daft && $(UV) venv --quiet --python python3.11 .venv/daft
	@$(SHOW) 'Daft environment' $(UV_LINES) $(UV) pip sync --python .venv/daft --require-hashes $<
	@touch $@

# ElasticMQ is a server of SQS. Spark's own resolver installs it. The servers of Google's services are written in Go.
.venv/services.done: tests/services/package-lock.json $(wildcard tests/services/go_servers/go.* tests/services/go_servers/*/*.go) requirements/system_packages.sh Makefile | .venv/spark.done
	@requirements/system_packages.sh test
	@$(SHOW) 'npm packages' '' npm ci --ignore-scripts --no-audit --no-fund --loglevel=error --prefix tests/services
	@rm -rf .venv/elasticmq && $(SHOW) 'SQS server' '' $(or $(JAVA_HOME:%=%/bin/java),java) \
	    -cp "$$(echo .venv/spark/lib/python3.11/site-packages/pyspark/jars/ivy-*.jar)" org.apache.ivy.Main -warn \
	    -cache .venv/ivy -confs default -dependency org.elasticmq elasticmq-server_2.13 1.6.16 \
	    -retrieve '.venv/elasticmq/[artifact]-[revision].[ext]'
	@rm -rf .venv/ivy
	@$(SHOW) "servers of Google's services" '' $(GO) build -C tests/services/go_servers -mod=readonly -trimpath \
	    -o $(CURDIR)/.venv/go-servers/ github.com/fsouza/fake-gcs-server ./pubsub
	@touch $@
