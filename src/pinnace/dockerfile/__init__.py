"""The Dockerfile's syntax: text in, instructions with their positions out. Builds nothing and knows no images.

Source: the Dockerfile reference (docs.docker.com/reference/dockerfile) and the behaviour of BuildKit's own parser.
"""
