"""AIND metadata of runs: a run's `…_data_process.json`, made from its `run.json`.

`data_process` and `data_process_v1` build records, right by construction; `schema` is the one
owner of aind-data-schema and validates what was built. `python -m aind_capsule.provenance` does
both in a process of its own, so that a run imports none of it.
"""
