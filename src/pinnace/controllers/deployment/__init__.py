"""Deployments: rollouts, scaling, revisions, status."""
