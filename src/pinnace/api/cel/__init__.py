"""The Common Expression Language, as Kubernetes speaks it: rules of schemas and of admission policies.

`engine.py` compiles and evaluates with Google's implementation (docs/adr/0022); `functions.py` is the table of the functions
that Kubernetes adds, each implemented in `strings.py`, `lists.py`, `nets.py`, `quantities.py`, `formats.py`.
"""
