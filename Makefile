# `make demo` and `make test` set up what they need. Nothing here that you could not type yourself.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
RUN = .venv/bin/python

.PHONY: setup demo test lint bench clean

setup: .venv/ready

.venv/ready: requirements.txt requirements-dev.txt
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

# Sample media, a few minutes of training, a painted video. Previews, pages and the result go to out/, all else to demo/.
demo: setup
	$(RUN) data/make_samples.py --samples demo/data
	$(RUN) extract_tiles.py --paintings demo/data/paintings --videos demo/data/videos --tiles demo/tiles --frame-step 4
	$(RUN) preview_tiles.py --tiles demo/tiles --previews out/tiles
	$(RUN) train_vae.py --tiles demo/tiles --run demo/log/vae --steps 200 --checkpoint-every 100 --preview-every 50
	$(RUN) train_refiner.py --tiles demo/tiles --vae-run demo/log/vae --run demo/log/refiner --steps 200 --hand-steps 20 --checkpoint-every 100 --preview-every 50
	$(RUN) export_graphs.py --tiles demo/tiles --vae-run demo/log/vae --refiner-run demo/log/refiner --exported demo/exported
	$(RUN) evaluate_embeddings.py --tiles demo/tiles --exported demo/exported --report out/embeddings --measured-tiles 32
	$(RUN) mogrify_video.py --videos demo/data/videos/night-walk.mp4 --style night-streets --strength 1 --exported demo/exported --out out --replace yes
	@echo "Look at out/night-walk-night-streets.mp4, before and after in out/night-walk-night-streets-ladder.png"

test: setup lint
	$(RUN) -m pytest -n 3 --dist loadfile --no-loadscope-reorder  # one of three often waits

lint: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

# All benchmarks in a short form, on what `make demo` made; one table of claims at the end.
bench: setup
	$(RUN) -m benchmarks

clean:
	rm -rf .venv demo .pytest_cache .ruff_cache
