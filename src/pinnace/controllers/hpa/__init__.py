"""HorizontalPodAutoscalers: how many replicas the measured usage calls for, and how fast to go there."""
