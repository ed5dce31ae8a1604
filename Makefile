# `make demo` and `make test` set up what they need. Nothing here that you could not type yourself.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
RUN = .venv/bin/python

.PHONY: setup demo test lint bench clean

setup: .venv/ready

.venv/ready: requirements.txt requirements-dev.txt
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

# Three sample painters and a film, a short training, the film painted in each of the three hands.
# Previews, pages and films go to out/, all else to demo/.
demo: setup
	$(RUN) data/make_samples.py --samples demo/data
	$(RUN) extract_tiles.py --paintings demo/data/paintings --videos demo/data/videos --tiles demo/tiles --frame-step 4
	$(RUN) preview_tiles.py --tiles demo/tiles --previews out/tiles
	$(RUN) train_vae.py --tiles demo/tiles --run demo/log/vae --steps 100 --checkpoint-every 100 --preview-every 50
	$(RUN) train_refiner.py --tiles demo/tiles --vae-run demo/log/vae --run demo/log/refiner --steps 15 --hand-steps 20 --checkpoint-every 15 --preview-every 15
	$(RUN) export_graphs.py --tiles demo/tiles --vae-run demo/log/vae --refiner-run demo/log/refiner --exported demo/exported
	$(RUN) evaluate_embeddings.py --tiles demo/tiles --exported demo/exported --report out/embeddings --measured-tiles 16
	$(RUN) mogrify_video.py --videos demo/data/videos/lake.mp4 --styles dabs,ink,poster --strength 1 --stroke-size 0.6 --exported demo/exported --out out --replace yes
	@$(RUN) data/make_sheet.py --film demo/data/videos/lake.mp4 --styles dabs,ink,poster

test: setup lint
	$(RUN) -m pytest -n 3 --dist loadgroup --no-loadscope-reorder  # one of three often waits

lint: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

# All benchmarks in a short form, on what `make demo` made; one table of claims at the end.
bench: setup
	$(RUN) -m benchmarks

clean:
	rm -rf .venv demo .pytest_cache .ruff_cache
