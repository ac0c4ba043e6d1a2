"""The main job, shown: from a Dockerfile to replicas behind a Service that scales, with evidence for each step."""
