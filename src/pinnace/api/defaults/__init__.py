"""Fills in what a pod, its containers and its volumes leave out. All pure, all idempotent."""
