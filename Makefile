# make demo: the whole loop on handwritten digits.  make test: unit, local and service tests.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

# What was built once is kept here, by the hash of what it was built from.
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/image-pipelines
HOROVOD := $(CACHE)/horovod-$(shell cat images/trainer/build_horovod.sh requirements/trainer.txt requirements/horovod.txt | sha256sum | cut -c1-16)
BIN := .venv/spark/bin
UV := .venv/tools/bin/uv
# Debian's JDK 17 need not be the default one.
export JAVA_HOME := $(or $(JAVA_HOME),$(firstword $(wildcard /usr/lib/jvm/java-17-*)))

.PHONY: help
help: ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1\t/' | expand -t 22

.PHONY: demo
demo: setup ## Go once around the whole loop, on this machine
	@$(BIN)/image-pipelines demo

.PHONY: demo-clean
demo-clean: ## Remove what the demo made
	rm -rf demo

.PHONY: bench
bench: setup ## Measure each figure beside the reference's way, for benchmarks/README.md
	@$(BIN)/python -m benchmarks

.PHONY: test
test: setup .venv/services.done ## Run the unit, local and service tests
	$(BIN)/python -m pytest tests/unit tests/local tests/services -m "not slow" --numprocesses 2 --dist loadfile --durations 25

.PHONY: images
images: ## Build the container images, with docker or buildah
	images/build.sh

# LOAD is a command that loads image archives into the cluster, as in LOAD="kind load image-archive".
.PHONY: test-cluster
test-cluster: setup ## Run the cluster's tests in the one that KUBECONFIG names
	$(if $(LOAD),tests/cluster/load_images.sh $(LOAD))
	$(BIN)/python -m pytest tests/cluster tests/unit/test_manifests.py

.PHONY: test-slow
test-slow: setup .venv/services.done ## Run the tests that take long: large files, and each step killed 20 times in each window
	$(BIN)/python -m pytest tests/slow
	IMAGE_PIPELINES_TEST_KILLS=20 $(BIN)/python -m pytest tests/local/test_kills.py tests/services/test_kills_on_s3.py
	$(BIN)/python -m pytest tests/local/test_export_for_labeling.py tests/services/test_mlflow_away.py -m slow

.PHONY: lint
lint: setup ## Check style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

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
	@requirements/system_packages.sh
	@echo "Making the environments in .venv (some minutes the first time)"
	@rm -rf .venv/tools && python3.11 -m venv .venv/tools
	@.venv/tools/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@

.venv/spark.done: requirements/dev.txt images/spark/install_jars.py images/spark/make_class_archive.py pyproject.toml .venv/tools.done
	@test -d .venv/spark || $(UV) venv --quiet --python python3.11 .venv/spark
	@$(UV) pip sync --quiet --compile-bytecode --python .venv/spark --require-hashes $<
	@$(UV) pip install --quiet --python .venv/spark --no-deps --no-build-isolation --editable .
	@$(BIN)/python images/spark/install_jars.py >.venv/jars.log 2>&1 || { cat .venv/jars.log; exit 1; }
	@$(BIN)/python images/spark/make_class_archive.py
	@touch $@

.venv/trainer.done: requirements/trainer.txt pyproject.toml $(HOROVOD).done .venv/tools.done
	@test -d .venv/trainer || $(UV) venv --quiet --python python3.11 .venv/trainer
	@$(UV) pip sync --quiet --compile-bytecode --python .venv/trainer --require-hashes $<
	@$(UV) pip install --quiet --python .venv/trainer --no-deps --no-build-isolation $(HOROVOD)/*.whl --editable .
	@touch $@

# In an environment of its own, so that a failed build leaves none behind that looks whole.
$(HOROVOD).done: | .venv/tools.done
	@echo "Building Horovod (some minutes, once)"
	@rm -rf .venv/horovod && $(UV) venv --quiet --python python3.11 .venv/horovod
	@$(UV) pip sync --quiet --python .venv/horovod --require-hashes requirements/trainer.txt
	@images/trainer/build_horovod.sh .venv/tools/bin/pip .venv/horovod/bin/python $(HOROVOD)
	@rm -rf .venv/horovod && touch $@

.venv/services.done: tests/services/package-lock.json requirements/system_packages.sh
	@requirements/system_packages.sh test
	@npm ci --ignore-scripts --no-audit --no-fund --loglevel=error --prefix tests/services
	@touch $@
