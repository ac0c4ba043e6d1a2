"""The ServiceAccount's row: nothing beyond its metadata."""

from pinnace.api.strategy import Strategy
from pinnace.kube.kinds import SERVICE_ACCOUNT

STRATEGY = Strategy(kind=SERVICE_ACCOUNT)
