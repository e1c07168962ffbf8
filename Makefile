.PHONY: check format

check:
	bash .ci/run

format:
	ruff check --fix .
	ruff format .
