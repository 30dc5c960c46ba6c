"""A small study on the shipped model and benchmark, its records as a table."""

import tempfile

import finepruner

config = {"study": "a", "head_selection_strategies": ["sum", "variance"]}
with tempfile.TemporaryDirectory() as folder:
    finepruner.study(
        config,
        folder,
        dataset="embedded:select",
        controls=["vanilla", "random"],
        limit=4,
        no_report=True,
    )
    run = finepruner.read_run(folder)
for cell in run.cells:
    print(f"{cell['cell']}: {cell['accuracy']:.2f} of {cell['n']} questions")
